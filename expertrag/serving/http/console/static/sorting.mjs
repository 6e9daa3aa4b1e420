// The order of a table's rows by a column: numbers before text, what is empty last.
const words = new Intl.Collator(undefined, { numeric: true });

const kind = (value) => (value == null ? 2 : typeof value === "string" ? 1 : 0);

function compare(a, b) {
  if (kind(a) !== kind(b)) return kind(a) - kind(b);
  return kind(a) === 1 ? words.compare(a, b) : Number(a) - Number(b);
}

// Returns the places of the rows; without a column, as they came.
export function sorted(rows, column, descending) {
  const places = rows.map((_, place) => place);
  if (column == null) return places;
  const turn = descending ? -1 : 1;
  return places.sort((a, b) => {
    const [x, y] = [rows[a][column], rows[b][column]];
    const empty = kind(x) === 2 || kind(y) === 2;
    return (empty ? 1 : turn) * compare(x, y) || a - b;
  });
}

// The next order after a click on a header: ascending, descending, as they came.
export function clicked({ column, descending }, chosen) {
  if (column !== chosen) return { column: chosen, descending: false };
  return descending ? { column: null, descending: false } : { column, descending: true };
}
