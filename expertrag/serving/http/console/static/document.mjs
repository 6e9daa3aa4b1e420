// Document: the text as it was indexed, read by ranges, with the cited span marked.
import { post } from "./api.mjs";
import { Component, createRef, html } from "./html.mjs";
import { documentLink } from "./links.mjs";
import { state } from "./state.mjs";
import { count, indexes, several, shown } from "./text.mjs";

// Code points: what is read at a time, what stays before a cited span, and the most on the page.
const RANGE = 12_000;
const BEFORE = 1_500;
const MOST = 60_000;

const number = (text) => (/^\d+$/.test(text || "") ? Number(text) : null);

export class Document extends Component {
  state = { found: null, text: "", from: 0, to: 0, chunks: null, next: "", error: null };
  mark = createRef();

  componentDidMount() {
    this.load();
  }

  componentDidUpdate(before) {
    if (JSON.stringify(before.fields) !== JSON.stringify(this.props.fields)) this.load();
  }

  get span() {
    const { start, end } = this.props.fields;
    const [from, to] = [number(start), number(end)];
    return from != null && to != null && to > from ? [from, to] : null;
  }

  get asked() {
    const { id, collection } = this.props.fields;
    return { id: id || "", collection: collection || state.collection };
  }

  async load() {
    const { id } = this.asked;
    const span = this.span;
    const from = Math.max(0, span ? span[0] - BEFORE : 0);
    const to = span ? Math.min(Math.max(from + RANGE, span[1] + BEFORE), from + MOST) : from + RANGE;
    const same = this.state.found && this.state.found.id === id;
    if (!same) this.setState({ found: null, chunks: null });
    const asked = (this.last = this.props.fields);
    try {
      await this.read(from, to);
      if (this.last !== asked) return;
      this.mark.current?.scrollIntoView({ block: "center" });
      if (!same) await this.readChunks("");
    } catch (error) {
      this.setState({ error });
    }
  }

  async read(from, to) {
    const asked = this.last;
    const page = await post("documents/text", { ...this.asked, start: from, end: to });
    if (this.last !== asked) return; // another document was opened meanwhile
    await new Promise((resolve) => {
      this.setState({ found: page.document, text: page.text, from: page.start, to: page.end, error: null }, resolve);
    });
  }

  async readChunks(token) {
    const asked = this.last;
    const page = await post("documents/chunks", { ...this.asked, page_size: 100, page_token: token });
    if (this.last !== asked) return;
    const before = token ? this.state.chunks : [];
    this.setState({ chunks: [...before, ...page.chunks], next: page.next_page_token });
  }

  // Reads on, or back; what is far from there leaves the page.
  move = async (later) => {
    const { from, to } = this.state;
    try {
      if (later) await this.read(Math.max(from, to + RANGE - MOST), to + RANGE);
      else await this.read(Math.max(0, from - RANGE), Math.min(to, Math.max(0, from - RANGE) + MOST));
    } catch (error) {
      this.setState({ error });
    }
  };

  render(props, { found, text, from, to, chunks, next, error }) {
    const { id } = this.asked;
    const span = this.span;
    const holding = span && chunks && chunks.find((chunk) => chunk.start <= span[0] && span[0] < chunk.end);
    const page = number(props.fields.page) ?? (holding && holding.page);
    return html`<div class="document">
      <h1 tabindex="-1" dir="auto">${shown((found && found.title) || id || "Document")}</h1>
      ${error && html`<p class="warning" role="alert">${error.message}</p>`}
      ${found && html`<${About} found=${found} />`}
      ${found &&
      html`<div class="document-columns">
        <section class="text-column" aria-label="Text">
          ${span &&
          html`<p class="cited-where">
            <b>Characters ${count(span[0])} to ${count(span[1])}</b>${page != null && `, page ${page}`}
          </p>`}
          ${from > 0 && html`<button type="button" class="quiet wide" onClick=${() => this.move(false)}>Earlier text</button>`}
          <div class="document-text" dir="auto" tabindex="0" role="region" aria-label="Text of the document">
            <${Marked} text=${text} from=${from} span=${span} mark=${this.mark} />
          </div>
          ${to < found.characters && html`<button type="button" class="quiet wide" onClick=${() => this.move(true)}>Later text</button>`}
          <p class="muted">Characters ${count(from)} to ${count(to)} of ${count(found.characters)}</p>
        </section>
        <${Chunks}
          chunks=${chunks}
          next=${next}
          span=${span}
          asked=${this.asked}
          onMore=${() => this.readChunks(next).catch((failed) => this.setState({ error: failed }))}
        />
      </div>`}
    </div>`;
  }
}

function Marked({ text, from, span, mark }) {
  if (!span) return shown(text);
  const at = indexes(text);
  const [start, end] = [at(span[0] - from), at(span[1] - from)];
  if (end <= start) return shown(text);
  return [
    shown(text.slice(0, start)),
    html`<mark ref=${mark} id="cited">${shown(text.slice(start, end))}</mark>`,
    shown(text.slice(end)),
  ];
}

function About({ found }) {
  const fields = [
    ["id", found.id],
    ["source", found.source],
    ["domain", found.domain],
    ["length", `${several(found.characters, "character")}, ${several(found.chunks, "chunk")}`],
    ...Object.entries(found.metadata).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  ].filter(([, value]) => value);
  return html`<dl class="about">
    ${fields.map(
      ([name, value], place) => html`<div key=${place}><dt>${shown(name)}</dt><dd dir="auto">${shown(String(value))}</dd></div>`,
    )}
  </dl>`;
}

function Chunks({ chunks, next, span, asked, onMore }) {
  const holds = (chunk) => span && chunk.start <= span[0] && span[0] < chunk.end;
  return html`<nav class="chunks" aria-label="Chunks">
    <h2><span class="label">Chunks</span></h2>
    <ol>
      ${(chunks || []).map(
        (chunk) => html`<li key=${chunk.ordinal}>
          <a
            href=${documentLink(asked.collection, { ...chunk, document_id: asked.id })}
            aria-current=${holds(chunk) ? "true" : null}
          >
            <span class="figure">${count(chunk.start)}–${count(chunk.end)}${chunk.page != null && ` · page ${chunk.page}`}</span>
            <span class="excerpt" dir="auto">${shown(chunk.text.slice(0, 120))}</span>
          </a>
        </li>`,
      )}
    </ol>
    ${next && html`<button type="button" class="quiet wide" onClick=${onMore}>More chunks</button>`}
  </nav>`;
}
