// Bars; each has its figure as text beside it, so that none is needed to read one.
import { html } from "./html.mjs";

const at = (value) => `${100 * Math.min(Math.max(value, 0), 1)}%`;

// A probability against its threshold.
export function Against({ value, threshold, kind }) {
  const tick = threshold == null ? null : html`<i class="tick" style=${{ left: at(threshold) }}></i>`;
  return html`<div class="against" aria-hidden="true">
    <i class="fill ${kind}" style=${{ width: at(value ?? 0) }}></i>${tick}
  </div>`;
}

// A share in [0, 1].
export function Share({ value, kind = "" }) {
  return html`<span class="share" aria-hidden="true"><i class=${kind} style=${{ width: at(value) }}></i></span>`;
}

// Values around zero, as rows of a table.
export function Diverging({ values, label, name, value }) {
  const most = Math.max(0.5, ...values.map((each) => Math.abs(each[1])));
  return html`<table class="bars">
    <caption>${label}</caption>
    <tbody>
      ${values.map(
        ([key, nats]) => html`<tr key=${key}>
          <th scope="row">${name(key)}</th>
          <td class="plot" aria-hidden="true">
            <i
              class=${nats < 0 ? "less" : "more"}
              style=${{ width: `${(50 * Math.abs(nats)) / most}%`, [nats < 0 ? "right" : "left"]: "50%" }}
            ></i>
          </td>
          <td class="figure">${value(nats)}</td>
        </tr>`,
      )}
    </tbody>
  </table>`;
}

// Shares of a whole, as rows of a table.
export function Shares({ values, label, name = (key) => key, value, onPick }) {
  const most = Math.max(1e-9, ...values.map((each) => each[1]));
  const head = (key) =>
    onPick ? html`<button type="button" class="link" onClick=${() => onPick(key)}>${name(key)}</button>` : name(key);
  return html`<table class="bars">
    <caption>${label}</caption>
    <tbody>
      ${values.map(
        ([key, amount]) => html`<tr key=${key}>
          <th scope="row">${head(key)}</th>
          <td class="plot" aria-hidden="true"><i class="part" style=${{ width: `${(100 * amount) / most}%` }}></i></td>
          <td class="figure">${value(amount)}</td>
        </tr>`,
      )}
    </tbody>
  </table>`;
}
