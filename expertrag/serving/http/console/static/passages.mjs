// The passages of an answer or a search, with their scores.
import { post } from "./api.mjs";
import { Share } from "./bars.mjs";
import { Component, html } from "./html.mjs";
import { documentLink } from "./links.mjs";
import { indexes, several, share, shown } from "./text.mjs";

export function Passage({ passage, rank, collection, citations = [], anchor, dropped }) {
  const best = citations.reduce((a, b) => (a && a.score >= b.score ? a : b), null);
  const target = best || passage;
  const page = target.page ?? passage.page;
  return html`<li class="passage ${dropped ? "dropped" : ""}" id=${anchor}>
    <div class="passage-head">
      <span class="rank">${rank}</span>
      <a href=${documentLink(collection, { ...target, document_id: passage.document_id, page })}>
        <bdi>${shown(passage.title || passage.document_id)}</bdi>
      </a>
      ${page != null && html`<span class="muted">page ${page}</span>`}
      ${passage.domain && html`<span class="muted">${shown(passage.domain)}</span>`}
      ${dropped && html`<span class="tag">did not fit</span>`}
    </div>
    <dl class="scores">
      <div><dt>dense</dt><dd><${Share} value=${passage.dense_score} /> ${share(passage.dense_score)}</dd></div>
      <div><dt>BM25</dt><dd><${Share} value=${passage.lexical_score} kind="lexical" /> ${share(passage.lexical_score)}</dd></div>
      <div><dt>fused</dt><dd>${share(passage.score)}</dd></div>
      ${passage.rerank_score != null && html`<div><dt>reranker</dt><dd>${share(passage.rerank_score)}</dd></div>`}
    </dl>
    <details>
      <summary><span class="excerpt" dir="auto">${shown(passage.text.slice(0, 400))}</span><span class="close">Close</span></summary>
      <p class="source-text" dir="auto"><${Cited} passage=${passage} citations=${citations} /></p>
    </details>
  </li>`;
}

// The text of a passage with what is cited of it marked.
function Cited({ passage, citations }) {
  const at = indexes(passage.text);
  const spans = citations
    .map(({ start, end }) => [at(start - passage.start), at(end - passage.start)])
    .sort((a, b) => a[0] - b[0]);
  const parts = [];
  let place = 0;
  for (const [start, end] of spans) {
    if (start < place || end <= start) continue;
    parts.push(shown(passage.text.slice(place, start)));
    parts.push(html`<mark>${shown(passage.text.slice(start, end))}</mark>`);
    place = end;
  }
  parts.push(shown(passage.text.slice(place)));
  return parts;
}

// The passages of an answer; what the search found and the prompt had no room for, on demand.
export class Passages extends Component {
  state = { dropped: null, error: null };

  async show() {
    const { passages, gate, question, collection } = this.props.exchange;
    const lost = this.props.exchange.usage.passages_dropped;
    const query = gate.rewritten_question || question;
    try {
      const found = await post("retrieve", { query, k: passages.length + lost, collection });
      const kept = new Set(passages.map((each) => `${each.document_id} ${each.ordinal}`));
      const dropped = found.passages.filter((each) => !kept.has(`${each.document_id} ${each.ordinal}`));
      this.setState({ dropped, error: null });
    } catch (error) {
      this.setState({ error });
    }
  }

  render({ exchange }, { dropped, error }) {
    const { key, passages, citations, usage, collection } = exchange;
    const lost = usage ? usage.passages_dropped : 0;
    const all = dropped || [];
    return html`<div class="passages" role="group" aria-label="Passages">
      <h3><span class="label">Passages</span> <b>${passages.length || "none found"}</b></h3>
      <ol>
        ${passages.map(
          (passage, place) =>
            html`<${Passage}
              key=${place}
              passage=${passage}
              rank=${place + 1}
              anchor="passage-${key}-${place + 1}"
              collection=${collection}
              citations=${citations.filter((each) => each.passage === place + 1)}
            />`,
        )}
        ${all.map(
          (passage, place) =>
            html`<${Passage} key="dropped-${place}" passage=${passage} rank="–" collection=${collection} dropped />`,
        )}
      </ol>
      ${lost > 0 &&
      !dropped &&
      html`<p class="muted">
        ${several(lost, "passage")} did not fit into the prompt.${" "}
        <button type="button" class="link" onClick=${() => this.show()}>Show</button>
      </p>`}
      ${error && html`<p class="warning" role="alert">${error.message}</p>`}
    </div>`;
  }
}
