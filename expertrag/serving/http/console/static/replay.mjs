// What the logged decisions would have been under another threshold.
import { post } from "./api.mjs";
import { Component, html } from "./html.mjs";
import { state } from "./state.mjs";
import { count, seconds, several, share } from "./text.mjs";

const WAIT_MS = 120;
const KINDS = { threshold: "threshold", target_rate: "share that retrieves" };

export class Replay extends Component {
  state = { kind: "threshold", value: null, found: null, error: null };

  componentDidMount() {
    this.ask("threshold", 0.5, true);
  }

  componentWillUnmount() {
    clearTimeout(this.timer);
    this.last?.abort();
  }

  // The newest position counts: an earlier request that still runs is given up.
  ask(kind, value, first = false) {
    this.setState({ kind, value });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(kind, value, first), first ? 0 : WAIT_MS);
  }

  async load(kind, value, first) {
    this.last?.abort();
    const request = (this.last = new AbortController());
    try {
      const found = await post("decisions/replay", { [kind]: value, collection: state.collection }, request.signal);
      this.setState({ found, error: null });
      if (first) this.ask("target_rate", Math.round(100 * found.logged.rate) / 100);
    } catch (error) {
      if (error.name !== "AbortError") this.setState({ error, found: null });
    }
  }

  render(_, { kind, value, found, error }) {
    return html`<section class="replay" aria-labelledby="replay-title">
      <h2 id="replay-title">Another threshold</h2>
      <p class="lead">What the gate would have decided on the questions of the audit log. Decisions are exact, costs are estimates.</p>
      ${error && html`<p class="note" role="status">${error.message}</p>`}
      ${found && html`<${Slider} kind=${kind} value=${value} onChange=${(...to) => this.ask(...to)} />`}
      ${found && html`<${Histogram} steps=${found.histogram} threshold=${found.threshold} />`}
      ${found && html`<${Outcomes} found=${found} />`}
    </section>`;
  }
}

function Slider({ kind, value, onChange }) {
  return html`<div class="line">
    <fieldset class="modes">
      <legend class="hidden">What is set</legend>
      ${Object.entries(KINDS).map(
        ([each, name]) => html`<label key=${each}>
          <input type="radio" name="policy" value=${each} checked=${kind === each} onChange=${() => onChange(each, value)} />
          <span>${name}</span>
        </label>`,
      )}
    </fieldset>
    <label class="hidden" for="policy-value">${KINDS[kind]}</label>
    <input
      id="policy-value"
      class="grow"
      type="range"
      min="0"
      max="1"
      step="0.01"
      value=${value}
      onInput=${(event) => onChange(kind, Number(event.target.value))}
    />
    <output for="policy-value">${share(value)}</output>
  </div>`;
}

function Histogram({ steps, threshold }) {
  const most = Math.max(1, ...steps);
  const place = threshold == null ? null : Math.min(Math.max(threshold, 0), 1);
  return html`<figure class="histogram">
    <div class="columns" aria-hidden="true">
      ${steps.map(
        (number, step) =>
          html`<i
            key=${step}
            class=${(step + 0.5) / steps.length >= place ? "documents" : "model"}
            style=${{ height: `${(100 * number) / most}%` }}
          ></i>`,
      )}
      ${place != null && html`<b class="tick" style=${{ left: `${100 * place}%` }}></b>`}
    </div>
    <figcaption class="figures">
      <span>benefit 0</span><span>decisions by estimated benefit; threshold <b>${share(threshold)}</b></span><span>1</span>
    </figcaption>
  </figure>`;
}

const number = (value) => (value == null ? "unknown" : count(Math.round(value)));
const time = (value) => (value == null ? "unknown" : seconds(value));

function Outcomes({ found }) {
  const { logged, replayed, changed } = found;
  const rows = [
    ["decisions that retrieve", `${count(logged.retrievals)} (${share(logged.rate)})`, `${count(replayed.retrievals)} (${share(replayed.rate)})`],
    ["language-model calls", number(logged.lm_calls), number(replayed.lm_calls)],
    ["searches", number(logged.retrieval_calls), number(replayed.retrieval_calls)],
    ["time", time(logged.seconds), time(replayed.seconds)],
  ];
  const left = [
    found.forced && `${count(found.forced)} forced by the caller`,
    found.unjudged && `${count(found.unjudged)} not judged`,
  ].filter(Boolean);
  return html`<div>
    <table class="outcomes">
      <thead>
        <tr>
          <th scope="col"><span class="hidden">Figure</span></th>
          <th scope="col" class="figure">logged</th>
          <th scope="col" class="figure">replayed</th>
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ([name, before, after]) => html`<tr key=${name}>
            <th scope="row">${name}</th>
            <td class="figure">${before}</td>
            <td class="figure">${after}</td>
          </tr>`,
        )}
      </tbody>
    </table>
    <p class="muted" role="status">
      ${several(changed.total, "decision")} of ${count(logged.decisions)} would change: ${count(changed.to_retrieve)} to retrieve,${" "}
      ${count(changed.to_closed_book)} to closed book.${" "}
      ${found.rated > 0 &&
      `Of these answers, ${count(changed.helpful)} were rated helpful and ${count(changed.not_helpful)} not.`}
      ${left.length > 0 && ` Left out: ${left.join(", ")}.`}
    </p>
  </div>`;
}
