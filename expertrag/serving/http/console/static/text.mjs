// Texts and figures. Offsets of the server count code points; JavaScript's strings, UTF-16 units.
import { html } from "./html.mjs";

// Returns a function from a code point's offset in a text to its index in the string.
export function indexes(text) {
  if (!/[\ud800-\udfff]/.test(text)) return (offset) => Math.min(Math.max(offset, 0), text.length);
  const starts = [];
  let index = 0;
  for (const character of text) {
    starts.push(index);
    index += character.length;
  }
  starts.push(index);
  return (offset) => starts[Math.min(Math.max(offset, 0), starts.length - 1)];
}

export function countPoints(text) {
  let points = 0;
  for (const character of text) points += character.length > 0;
  return points;
}

// Returns a text for display. Characters that reorder others are named instead of obeyed, and so
// are controls that show nothing: a document could hide words by them.
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

export function shown(text) {
  if (text.search(CONTROLS) < 0) return text;
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(CONTROLS)) {
    parts.push(text.slice(end, found.index));
    const code = found[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    parts.push(html`<span class="control">U+${code}</span>`);
    end = found.index + 1;
  }
  parts.push(text.slice(end));
  return parts;
}

const whole = new Intl.NumberFormat("en-US");

export const count = (number) => whole.format(number);
export const several = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

// Two digits; a value in the middle goes to the even one, as in the server's texts.
export function share(value) {
  if (value == null) return "–";
  const scaled = 100 * value;
  const below = Math.floor(scaled);
  const rounded = scaled - below === 0.5 ? below + (below % 2) : Math.round(scaled);
  return (rounded / 100).toFixed(2);
}

export const percent = (value) => `${Math.round(100 * value)} %`;

export function seconds(value) {
  if (value < 0.0095) return `${(1000 * value).toFixed(value < 0.00095 ? 1 : 0)} ms`;
  if (value >= 600) return `${count(Math.round(value / 60))} min`;
  return value < 10 ? `${value.toFixed(2)} s` : `${value.toFixed(1)} s`;
}

export function bytes(value) {
  if (value < 1e3) return `${value} B`;
  if (value < 1e6) return `${(value / 1e3).toFixed(0)} kB`;
  return value < 1e9 ? `${(value / 1e6).toFixed(1)} MB` : `${(value / 1e9).toFixed(1)} GB`;
}

export const words = (name) => name.replaceAll("_", " ");
