// A table as CSV for spreadsheets. Text that one would run as a formula gets an apostrophe before it.
const FORMULA = /^\s*[=+\-@\uff0b\uff0d\uff1d\uff20]|^[\t\r\n]/;
const BYTE_ORDER = "\ufeff"; // so that Excel reads UTF-8

export function csvOf({ columns, rows }) {
  const lines = [columns, ...rows].map((cells) => cells.map(cell).join(","));
  return `${BYTE_ORDER}${lines.join("\r\n")}\r\n`;
}

function cell(value) {
  if (value == null) return "";
  if (typeof value !== "string") return String(value);
  const plain = FORMULA.test(value) ? `'${value}` : value;
  return `"${plain.replaceAll('"', '""')}"`;
}

export function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
