// What was listed or counted for an answer: its table, how it was counted, what was searched.
import { csvOf, save } from "./csv.mjs";
import { Component, html } from "./html.mjs";
import { documentLink } from "./links.mjs";
import { clicked, sorted } from "./sorting.mjs";
import { count, several, shown } from "./text.mjs";

const FIRST_ROWS = 100;
const LINKS = 3;
const SQL = /^\s*(select|with)\b/i;
const ORDERS = { true: "descending", false: "ascending" };

export function Counted({ exchange }) {
  const { table, coverage, collection } = exchange;
  const alone = table.rows.length <= 1 && table.columns.length <= 1; // a value that the text has
  return html`<div class="counted" role="group" aria-label="What was counted">
    ${table.rows.length > 0 && !alone && html`<${Table} table=${table} collection=${collection} />`}
    <p class="coverage ${coverage.complete ? "complete" : "unsure"}">${shown(told(coverage, table.query))}</p>
    ${table.query &&
    html`<details class="query">
      <summary>How this was counted</summary>
      <pre><code>${shown(table.query)}</code></pre>
    </details>`}
  </div>`;
}

// As the command line tells it.
function told({ searched, left_out, complete, reason }, query) {
  const what = SQL.test(query) ? "rows" : "documents";
  const counts = `${count(Math.max(searched - left_out, 0))} of ${count(searched)} ${what} searched`;
  if (complete) return `${counts}, complete`;
  const sure = complete == null ? "not sure that this is complete" : "this is not complete";
  return `${counts}; ${sure}${reason && `: ${reason}`}`;
}

class Table extends Component {
  state = { column: null, descending: false, all: false };

  order = (column) => this.setState((state) => clicked(state, column));

  download = () => {
    const { columns, rows } = this.props.table;
    const { column, descending } = this.state;
    save("table.csv", csvOf({ columns, rows: sorted(rows, column, descending).map((place) => rows[place]) }));
  };

  render({ table, collection }, { column, descending, all }) {
    const { columns, rows, sources } = table;
    const places = sorted(rows, column, descending);
    const numeric = columns.map((_, at) => rows.every((row) => row[at] == null || typeof row[at] === "number"));
    const cited = sources.some((ids) => ids.length);
    return html`<div class="scrolled" tabindex="0" role="group" aria-label="Rows">
        <table class="doc-table sortable">
          <thead>
            <tr>
              ${columns.map(
                (name, at) => html`<th
                  key=${at}
                  scope="col"
                  class=${numeric[at] ? "figure" : ""}
                  aria-sort=${column === at ? ORDERS[descending] : "none"}
                >
                  <button type="button" onClick=${() => this.order(at)}>${shown(name)}</button>
                </th>`,
              )}
              ${cited && html`<th scope="col">Source</th>`}
            </tr>
          </thead>
          <tbody>
            ${(all ? places : places.slice(0, FIRST_ROWS)).map(
              (place) => html`<tr key=${place}>
                ${rows[place].map((value, at) => html`<td key=${at} class=${numeric[at] ? "figure" : ""}><bdi>${cell(value)}</bdi></td>`)}
                ${cited && html`<td><${Sources} ids=${sources[place] || []} collection=${collection} /></td>`}
              </tr>`,
            )}
          </tbody>
        </table>
      </div>
      <p class="table-tools muted">
        ${several(rows.length, "row")}
        ${!all &&
        rows.length > FIRST_ROWS &&
        html`<button type="button" class="link" onClick=${() => this.setState({ all: true })}>Show all</button>`}
        <button type="button" class="link" onClick=${this.download}>Export as CSV</button>
      </p>`;
  }
}

function Sources({ ids, collection }) {
  return html`${ids.slice(0, LINKS).map(
    (id) => html`<a key=${id} class="id" href=${documentLink(collection, { document_id: id })}><bdi>${shown(id)}</bdi></a>`,
  )}${ids.length > LINKS && html`<span class="muted">and ${count(ids.length - LINKS)} more</span>`}`;
}

function cell(value) {
  if (value == null) return "";
  if (typeof value === "number") return String(value);
  return typeof value === "string" ? shown(value) : String(value);
}
