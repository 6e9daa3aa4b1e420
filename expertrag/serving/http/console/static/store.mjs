// Store: what a collection holds and how it is; its documents, and changes where they are allowed.
import { post } from "./api.mjs";
import { Shares } from "./bars.mjs";
import { Listing } from "./listing.mjs";
import { Skipped } from "./skipped.mjs";
import { Component, html } from "./html.mjs";
import { state } from "./state.mjs";
import { bytes, count, share, shown } from "./text.mjs";

const TOP = 12;

export class Store extends Component {
  state = { stats: null, error: null, filter: "" };

  componentDidMount() {
    this.load();
  }

  componentDidUpdate() {
    if (this.collection !== state.collection) this.load();
  }

  load = async () => {
    this.collection = state.collection;
    try {
      this.setState({ stats: await post("stats", { collection: state.collection }), error: null });
    } catch (error) {
      this.setState({ stats: null, error });
    }
  };

  render(_, { stats, error, filter }) {
    return html`<div class="store">
      <h1 tabindex="-1">Store</h1>
      ${error && html`<p class="warning" role="alert">${error.message}</p>`}
      <${Health} stats=${stats} />
      ${stats && html`<${Figures} stats=${stats} />`}
      ${stats &&
      html`<div class="tables">
        <${Top}
          values=${stats.domains}
          total=${stats.domain_count}
          label="Documents by domain"
          onPick=${(domain) => this.setState({ filter: `domain: ${domain}` })}
        />
        <${Top} values=${stats.partitions} label="Chunks by embedding expert" />
      </div>`}
      ${stats && html`<${Listing} key=${this.collection} stats=${stats} filter=${filter} onChanged=${this.load} />`}
      ${stats && html`<${Skipped} key=${`${this.collection} ${stats.generation}`} />`}
    </div>`;
  }
}

function Health({ stats }) {
  const { info } = state;
  const problems = [...(info ? info.problems : []), ...(stats && stats.degraded ? [`index: ${stats.degraded}`] : [])];
  if (!info) return null;
  return html`<section aria-label="Health" class="health ${problems.length ? "bad" : "good"}">
    ${problems.length === 0
      ? html`<p><b>Healthy.</b> The server answers with everything that it was given.</p>`
      : html`<ul>
          ${[...new Set(problems)].map((problem) => html`<li key=${problem}>${shown(problem)}</li>`)}
        </ul>`}
  </section>`;
}

function Figures({ stats }) {
  const { info } = state;
  const figures = [
    ["documents", count(stats.documents)],
    ["chunks", count(stats.chunks)],
    ["generation", count(stats.generation)],
    ["published", stats.created_at.slice(0, 16).replace("T", " ")],
    ["size", bytes(stats.size_bytes)],
    ["recall@10", stats.recall ? share(stats.recall) : "not measured"],
    ["embedder", `${stats.embedder}, ${stats.dimension} dimensions`],
    ...(info ? [["model", info.model || "none"], ["gate", info.gate], ["context", `${count(info.context_tokens)} tokens`]] : []),
    ...(info ? [["version", info.version]] : []),
    ["fields", stats.metadata_fields.join(", ")],
  ].filter(([, value]) => value);
  return html`<dl class="figures-grid">
    ${figures.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${shown(value)}</dd></div>`)}
  </dl>`;
}

function Top({ values, total, label, onPick }) {
  const sorted = Object.entries(values).sort((a, b) => b[1] - a[1]);
  if (!sorted.length) return null;
  const rest = (total || sorted.length) - Math.min(TOP, sorted.length);
  return html`<div>
    <${Shares} values=${sorted.slice(0, TOP)} label=${label} value=${count} onPick=${onPick} />
    ${rest > 0 && html`<p class="muted">and ${count(rest)} more</p>`}
  </div>`;
}
