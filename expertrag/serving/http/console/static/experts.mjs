// Experts: which embedding and language-model experts were used, over domains and time; profiles.
import { post } from "./api.mjs";
import { Component, html } from "./html.mjs";
import { Profile } from "./profile.mjs";
import { state } from "./state.mjs";
import { count, percent, several, shown, words } from "./text.mjs";

const PERIODS = 18;
const NONE = "none";

export class Experts extends Component {
  state = { found: null, error: null };

  componentDidMount() {
    this.load();
  }

  componentDidUpdate() {
    if (this.collection !== state.collection) this.load();
  }

  async load() {
    this.collection = state.collection;
    try {
      const found = await post("decisions/experts", { periods: PERIODS, collection: state.collection });
      this.setState({ found, error: null });
    } catch (error) {
      this.setState({ found: null, error });
    }
  }

  render(_, { found, error }) {
    return html`<div class="experts">
      <h1 tabindex="-1">Experts</h1>
      <p class="lead">
        Which experts the questions of the audit log went to. The domain of a question chooses the embedding expert that
        encodes it, and the language-model expert that answers from the documents.
      </p>
      ${error && html`<p class="note" role="status">${error.message}</p>`}
      ${found && html`<${Maps} found=${found} />`}
      <${Profile} />
    </div>`;
  }
}

function Maps({ found: { counts, period_s: period } }) {
  const label = labelOf(period);
  const when = (each) => each.start;
  return html`<div>
    <${HeatMap} counts=${counts} row=${(each) => each.domain} column=${when} label="Embedding experts over time" name=${label} />
    <${HeatMap} counts=${counts} row=${(each) => each.expert} column=${when} label="Language-model experts over time" name=${label} />
    <${HeatMap}
      counts=${counts}
      row=${(each) => each.expert}
      column=${(each) => each.domain}
      label="Language-model experts by domain"
      name=${(domain) => words(domain || NONE)}
    />
  </div>`;
}

// The beginning of a period, in UTC, as short as its length allows.
function labelOf(period) {
  if (period < 86_400) return (start) => start.slice(11, 16);
  return (start) => start.slice(5, 10);
}

function totals(counts, key) {
  const sums = new Map();
  for (const each of counts) {
    const [decisions, retrievals] = sums.get(key(each)) || [0, 0];
    sums.set(key(each), [decisions + each.decisions, retrievals + each.retrievals]);
  }
  return sums;
}

// A table whose cells are shaded by their share of the largest; each has its figure.
function HeatMap({ counts, row, column, label, name }) {
  const rows = [...totals(counts, row)].sort((a, b) => b[1][0] - a[1][0]);
  const columns = [...totals(counts, column).keys()].sort();
  const cells = totals(counts, (each) => JSON.stringify([row(each), column(each)]));
  const most = Math.max(...[...cells.values()].map(([decisions]) => decisions));
  const days = new Set(columns.map((each) => each.slice(0, 10)));
  return html`<section class="heat" aria-label=${label}>
    <h2>${label}</h2>
    <div class="scrolled" tabindex="0" role="region" aria-label="Table: ${label}">
      <table>
        <thead>
          <tr>
            <th scope="col"><span class="hidden">Expert</span></th>
            <th scope="col">all</th>
            <th scope="col">retrieved</th>
            ${columns.map((each) => html`<th key=${each} scope="col" title=${each}>${shown(name(each))}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            ([expert, [decisions, retrievals]]) => html`<tr key=${expert}>
              <th scope="row">${shown(words(expert || NONE))}</th>
              <td class="figure">${count(decisions)}</td>
              <td class="figure">${percent(retrievals / decisions)}</td>
              ${columns.map((each) => html`<${Cell} key=${each} sums=${cells.get(JSON.stringify([expert, each]))} most=${most} />`)}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${days.size === 1 && /^\d{4}-/.test(columns[0]) && html`<p class="muted">${columns[0].slice(0, 10)}, times in UTC</p>`}
  </section>`;
}

function Cell({ sums, most }) {
  if (!sums) return html`<td class="cell"><span class="hidden">0</span></td>`;
  const [decisions, retrievals] = sums;
  const heat = Math.round(15 + (85 * decisions) / most);
  return html`<td
    class="cell"
    style=${{ "--heat": `${heat}%` }}
    title="${several(decisions, "decision")}, ${percent(retrievals / decisions)} retrieved"
  >
    ${count(decisions)}
  </td>`;
}
