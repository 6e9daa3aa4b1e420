// Why: one question under every mode, side by side.
import { Exchange } from "./answer.mjs";
import { exchangeOf, run } from "./exchange.mjs";
import { Component, createRef, html } from "./html.mjs";
import { Replay } from "./replay.mjs";
import { MODES, MODE_TEXTS, state, stop, stoppable, update } from "./state.mjs";

function publish(changed) {
  const { question, exchanges } = state.compared;
  const replaced = exchanges.map((each) => (each.key === changed.key ? changed : each));
  update({ compared: { question, exchanges: replaced } });
}

// One after another: at once, each would slow the others, and their times would say nothing.
async function compare(question) {
  const exchanges = MODES.map((mode) => exchangeOf(question, mode, state.collection));
  update({ compared: { question, exchanges } });
  await stoppable(async (signal) => {
    for (const exchange of exchanges) await run(exchange, [], signal, publish);
  });
}

export class Why extends Component {
  field = createRef();

  submit = (event) => {
    event.preventDefault();
    const question = this.field.current.value.trim();
    if (question && !state.stopping) compare(question);
  };

  render() {
    const { question, exchanges } = state.compared;
    return html`<div class="why">
      <h1 tabindex="-1">Why</h1>
      <p class="lead">One question under the four modes, one after another: what the gate changes, and what it saves.</p>
      <form class="line" onSubmit=${this.submit}>
        <label class="hidden" for="compared">Question</label>
        <input id="compared" ref=${this.field} type="text" dir="auto" placeholder="Ask under every mode" defaultValue=${this.props.fields.q || question} />
        ${state.stopping
          ? html`<button type="button" class="primary" onClick=${stop}>Stop</button>`
          : html`<button type="submit" class="primary">Compare</button>`}
      </form>
      <div class="side-by-side">
        ${exchanges.map(
          (exchange) =>
            html`<${Exchange}
              key=${exchange.key}
              exchange=${exchange}
              rating=${state.rating}
              onChange=${publish}
              heading=${exchange.mode}
              narrow
            />`,
        )}
      </div>
      ${exchanges.length === 0 &&
      html`<dl class="plain-list">
        ${MODES.map((mode) => html`<div key=${mode}><dt>${mode}</dt><dd>${MODE_TEXTS[mode]}</dd></div>`)}
      </dl>`}
      <${Replay} key=${state.collection} />
    </div>`;
  }
}
