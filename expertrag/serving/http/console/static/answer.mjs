// An answer with its citations, its basis, and the ratings.
import { post } from "./api.mjs";
import { Counted } from "./counted.mjs";
import { basis } from "./exchange.mjs";
import { Cost, Gate } from "./gate.mjs";
import { Component, html } from "./html.mjs";
import { documentLink, linkTo } from "./links.mjs";
import { Passages } from "./passages.mjs";
import { state, update } from "./state.mjs";
import { count, indexes, seconds, shown } from "./text.mjs";

const BASES = {
  documents: "From the documents",
  model: "From the model alone, not from the documents",
  abstained: "No answer: the documents do not support one",
};

const THUMB = "M5 14V7l3-5.5c1.3 0 1.8 1 1.5 2L9 6h3.6c.9 0 1.5.8 1.3 1.7l-1.2 5c-.2.8-.8 1.3-1.6 1.3zM2 7h1.5v7H2z";
const MARKERS = /(?:\s*\[\d+\])+\s*$/;

export function Basis({ exchange }) {
  const kind = basis(exchange);
  const { status, done, gate, progress } = exchange;
  if (status === "failed") return html`<p class="basis failed">Failed</p>`;
  if (!kind) return html`<p class="basis open">${status === "stopped" ? "Stopped" : "The gate is deciding"}</p>`;
  const notes = [
    status === "answering" && (progress ? reading(progress) : kind === "documents" ? "reading the passages" : "answering"),
    status === "stopped" && "stopped before its end",
    done && done.finish_reason === "length" && "cut at the limit of tokens",
    done && done.support != null && kind === "documents" && !done.unsupported_reason && "supported",
  ].filter(Boolean);
  const open = !done && kind === "documents" && gate;
  return html`<p class="basis ${open ? "open" : kind}">
    <b>${open ? "Consulting the documents" : BASES[kind]}</b>${notes.map((note) => html`<span key=${note}>${note}</span>`)}
  </p>`;
}

function reading({ done, total, seconds_left: left }) {
  const time = left ? `, ${seconds(left)} left` : "";
  return `reading the documents, ${count(done)} of ${count(total)}${time}`;
}

// The text: cited sentences are underlined, and a marker behind each opens its source.
export function AnswerText({ exchange }) {
  const { text, citations, passages, collection, status } = exchange;
  const found = citations.length || (passages && status === "done") ? MARKERS.exec(text) : null;
  const body = found ? text.slice(0, found.index) : text;
  const at = indexes(text);
  const spans = citations.map((each) => ({ ...each, from: at(each.answer_start), to: Math.min(at(each.answer_end), body.length) }));
  const cuts = [...new Set([0, body.length, ...spans.flatMap(({ from, to }) => [from, to])])].sort((a, b) => a - b);
  const parts = [];
  const written = found ? [...found[0].matchAll(/\d+/g)].map(Number) : [];
  for (let place = 0; place + 1 < cuts.length; place += 1) {
    const [from, to] = [cuts[place], cuts[place + 1]];
    const piece = shown(body.slice(from, to));
    const cited = spans.some((span) => span.from <= from && span.to >= to);
    parts.push(cited ? html`<span class="cited">${piece}</span>` : piece);
    const ending = spans.filter((span) => span.to === to && !written.includes(span.passage));
    parts.push(...markersOf(ending, passages, collection));
  }
  const told = written.map((passage) => spans.find((span) => span.passage === passage) || { passage });
  return html`<div class="text" dir="auto">${parts}${markersOf(told, passages, collection)}</div>`;
}

function markersOf(citations, passages, collection) {
  const seen = new Map();
  for (const each of citations) if (!seen.has(each.passage)) seen.set(each.passage, each);
  return [...seen.values()].map((citation) => {
    const passage = (passages || [])[citation.passage - 1];
    if (!passage) return `[${citation.passage}]`;
    const target = citation.document_id ? citation : passage;
    const where = `${passage.title || passage.document_id}${target.page == null ? "" : `, page ${target.page}`}`;
    return html`<a class="marker" href=${documentLink(collection, target)} aria-label="Source ${citation.passage}: ${where}"
      >${citation.passage}</a
    >`;
  });
}

class Rating extends Component {
  state = { error: null };

  async rate(helpful) {
    const { exchange, onChange } = this.props;
    try {
      await post("feedback", { answer_id: exchange.gate.id, helpful, collection: exchange.collection });
      onChange({ ...exchange, rated: helpful });
      this.setState({ error: null });
    } catch (error) {
      if (error.code === "audit_off") update({ rating: false });
      else this.setState({ error });
    }
  }

  render({ exchange, again }, { error }) {
    if (!state.rating) return html`<p class="muted" role="status">The server keeps no audit log, so ratings are not stored.</p>`;
    const button = (helpful, label) =>
      html`<button
        type="button"
        class="rate"
        aria-pressed=${exchange.rated === helpful}
        onClick=${() => this.rate(helpful)}
      >
        <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class=${helpful ? "" : "down"}><path d=${THUMB} /></svg>
        ${label}
      </button>`;
    return html`<div class="rating" role="group" aria-label="Rate this answer">
      ${button(true, "Helpful")} ${button(false, "Not helpful")}
      ${again && html`<a class="muted" href=${linkTo("why", { q: exchange.question })}>Compare the modes</a>`}
      ${exchange.rated != null && html`<span class="muted" role="status">Stored</span>`}
      ${error && html`<span class="warning" role="alert">${error.message}</span>`}
    </div>`;
  }
}

// A whole exchange: the answer at the left, the gate and the cost at the right.
export class Exchange extends Component {
  shouldComponentUpdate(next) {
    return next.exchange !== this.props.exchange || next.rating !== this.props.rating;
  }

  render({ exchange, onChange, onAgain, narrow, heading }) {
    const { gate, passages, table, usage, done, error, status, text } = exchange;
    const busy = status === "waiting" || status === "answering";
    const reason = done && done.unsupported_reason;
    return html`<article class="exchange ${narrow ? "narrow" : ""}" aria-label=${heading || exchange.question}>
      ${heading ? html`<h2 class="mode-name">${heading}</h2>` : html`<h2 class="question" dir="auto">${shown(exchange.question)}</h2>`}
      <div class="main">
        <div aria-live="polite" aria-busy=${busy}>
          <${Basis} exchange=${exchange} />
          ${text && html`<${AnswerText} exchange=${exchange} />`}
          ${busy && html`<span class="caret" aria-hidden="true"></span>`}
        </div>
        ${table && html`<${Counted} exchange=${exchange} />`}
        ${reason && html`<p class="unsupported">${done.finish_reason === "abstained" ? "" : "Check this: "}${shown(reason)}</p>`}
        ${error &&
        html`<p class="warning" role="alert">
          ${error.message} ${onAgain && html`<button type="button" class="link" onClick=${() => onAgain(exchange)}>Try again</button>`}
        </p>`}
        ${done && gate.id && html`<${Rating} exchange=${exchange} onChange=${onChange} again=${!narrow} />`}
        ${passages && !narrow && html`<${Passages} exchange=${exchange} />`}
      </div>
      <div class="side">
        ${gate && html`<${Gate} gate=${gate} />`}
        ${usage && done && html`<${Cost} usage=${usage} done=${done} generation=${exchange.generation} />`}
      </div>
      ${passages && narrow && html`<${Passages} exchange=${exchange} />`}
    </article>`;
  }
}
