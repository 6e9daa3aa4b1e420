// Ask: a conversation; each answer beside the gate's decision on it.
import { Exchange } from "./answer.mjs";
import { basis, exchangeOf, historyOf, run } from "./exchange.mjs";
import { Component, createRef, html } from "./html.mjs";
import { DEFAULT_TEXT, MODES, MODE_TEXTS, state, stop, stoppable, update } from "./state.mjs";
import { several } from "./text.mjs";

const ENDS = {
  documents: "Answered from the documents.",
  model: "Answered by the model alone.",
  abstained: "No answer was given.",
};

const replaced = (exchanges, changed) => exchanges.map((each) => (each.key === changed.key ? changed : each));
const publish = (changed) => update({ exchanges: replaced(state.exchanges, changed) });

async function ask(question) {
  const exchange = exchangeOf(question, state.mode, state.collection);
  const history = historyOf(state.exchanges, state.collection);
  update({ exchanges: [...state.exchanges, exchange] });
  await stoppable((signal) => run(exchange, history, signal, publish));
}

async function again({ key }) {
  const place = state.exchanges.findIndex((each) => each.key === key);
  const { question, mode, collection } = state.exchanges[place];
  const fresh = { ...exchangeOf(question, mode, collection), key };
  publish(fresh);
  await stoppable((signal) => run(fresh, historyOf(state.exchanges.slice(0, place), collection), signal, publish));
}

export function ModeChoice({ value, onChange }) {
  return html`<fieldset class="modes">
    <legend class="hidden">Mode of the gate</legend>
    ${[null, ...MODES].map(
      (mode) => html`<label key=${mode} title=${mode ? MODE_TEXTS[mode] : DEFAULT_TEXT}>
        <input type="radio" name="mode" value=${mode || "default"} checked=${value === mode} onChange=${() => onChange(mode)} />
        <span>${mode || "default"}</span>
      </label>`,
    )}
  </fieldset>`;
}

class Composer extends Component {
  field = createRef();

  componentDidMount() {
    this.field.current.focus({ preventScroll: true });
  }

  submit = (event) => {
    event.preventDefault();
    const field = this.field.current;
    const question = field.value.trim();
    if (!question || state.stopping) return;
    field.value = "";
    this.fit();
    this.props.onAsk(question);
  };

  key = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.submit(event);
  };

  fit = () => {
    const field = this.field.current;
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight + 2, 200)}px`;
  };

  render() {
    return html`<form class="composer" onSubmit=${this.submit}>
      <label class="hidden" for="question">Question</label>
      <textarea
        id="question"
        ref=${this.field}
        rows="1"
        dir="auto"
        placeholder="Ask a question"
        onKeyDown=${this.key}
        onInput=${this.fit}
      ></textarea>
      <div class="composer-tools">
        <${ModeChoice} value=${state.mode} onChange=${(mode) => update({ mode })} />
        <span class="muted keys"><kbd>Enter</kbd> asks, <kbd>Shift</kbd> <kbd>Enter</kbd> breaks the line, <kbd>Esc</kbd> stops</span>
        ${state.exchanges.length > 0 &&
        html`<button type="button" class="quiet" disabled=${!!state.stopping} onClick=${() => update({ exchanges: [] })}>New</button>`}
        ${state.stopping
          ? html`<button type="button" class="primary" onClick=${stop}>Stop</button>`
          : html`<button type="submit" class="primary">Ask</button>`}
      </div>
    </form>`;
  }
}

function Welcome() {
  const { info } = state;
  const index = info && info.index;
  return html`<section class="welcome">
    <h2>Ask your documents</h2>
    <p>
      For each question the gate estimates whether the documents would help. Beside the answer you see what it decided, why,
      what was found, and what it cost.
    </p>
    <dl class="plain-list">
      <div><dt>default</dt><dd>${DEFAULT_TEXT}</dd></div>
      ${MODES.map((mode) => html`<div key=${mode}><dt>${mode}</dt><dd>${MODE_TEXTS[mode]}</dd></div>`)}
    </dl>
    ${index &&
    html`<p class="muted">
      ${several(index.documents, "document")} in ${several(index.chunks, "chunk")}, answered by ${info.model || "no model"}.
    </p>`}
  </section>`;
}

export class Ask extends Component {
  // A new question comes to the top of the page.
  onAsk = (question) => {
    ask(question);
    requestAnimationFrame(() => document.querySelector(".exchange:last-of-type")?.scrollIntoView());
  };

  render() {
    const { exchanges } = state;
    const last = exchanges[exchanges.length - 1];
    return html`<div class="ask">
      <h1 class="hidden" tabindex="-1">Ask</h1>
      ${exchanges.length === 0 && html`<${Welcome} />`}
      ${exchanges.map(
        (exchange) =>
          html`<${Exchange} key=${exchange.key} exchange=${exchange} rating=${state.rating} onChange=${publish} onAgain=${again} />`,
      )}
      <p class="hidden" role="status">${last && last.status === "done" ? ENDS[basis(last)] : ""}</p>
      <div class="end"></div>
      <${Composer} onAsk=${this.onAsk} />
    </div>`;
  }
}
