// Learn: questions of the log in random order, with both answers to judge.
import { post } from "./api.mjs";
import { AnswerText, Basis } from "./answer.mjs";
import { Against } from "./bars.mjs";
import { exchangeOf, run } from "./exchange.mjs";
import { Component, createRef, html } from "./html.mjs";
import { state, stop, stoppable } from "./state.mjs";
import { count, several, share, shown } from "./text.mjs";

const SIDES = [
  { key: "1", mode: "never", name: "Without the documents" },
  { key: "2", mode: "always", name: "With the documents" },
];
const MARKERS = /(?:\s*\[\d+\])+\s*$/;

export class Learn extends Component {
  state = { queue: null, place: 0, sides: [null, null], right: [false, false], stored: 0, error: null };
  own = createRef();

  componentDidMount() {
    addEventListener("keydown", this.key);
    this.load();
  }

  componentDidUpdate() {
    if (this.collection !== state.collection) this.load();
  }

  componentWillUnmount() {
    removeEventListener("keydown", this.key);
    stop();
  }

  attempt = async (work) => {
    try {
      await work();
    } catch (error) {
      this.setState({ error });
    }
  };

  load = () =>
    this.attempt(async () => {
      this.collection = state.collection;
      this.setState({ queue: null, error: null });
      const queue = await post("decisions/questions", { limit: 50, collection: state.collection });
      this.setState({ queue, place: 0 }, this.answer);
    });

  get question() {
    const { queue, place } = this.state;
    return queue && queue.questions[place];
  }

  // Both answers, one after the other; a question that is left behind stops.
  answer = async () => {
    const asked = this.question;
    this.setState({ sides: [null, null], right: [false, false] });
    if (!asked) return;
    await stoppable(async (signal) => {
      for (const [side, { mode }] of SIDES.entries()) {
        const publish = (exchange) => {
          if (this.question !== asked) return;
          this.setState(({ sides }) => ({ sides: sides.map((each, at) => (at === side ? exchange : each)) }));
        };
        await run(exchangeOf(asked.question, mode, state.collection), [], signal, publish);
        if (signal.aborted) return;
      }
    });
  };

  toggle = (side) => {
    const exchange = this.state.sides[side];
    if (!exchange || exchange.status !== "done" || exchange.done.finish_reason === "abstained") return;
    this.setState(({ right }) => ({ right: right.map((each, at) => (at === side ? !each : each)) }));
  };

  // Stores what was judged right as correct answers, and goes on.
  next = () =>
    this.attempt(async () => {
      const { sides, right } = this.state;
      const own = this.own.current.value.trim();
      const judged = sides.filter((exchange, side) => right[side]);
      for (const exchange of judged) {
        const correct_answer = exchange.text.replace(MARKERS, "").trim();
        await this.tell({ answer_id: exchange.gate.id, correct_answer, helpful: true });
      }
      const last = sides.find((exchange) => exchange && exchange.gate && !judged.includes(exchange));
      if (own) await this.tell({ answer_id: (last || judged[0] || {}).gate?.id || this.question.id, correct_answer: own });
      this.own.current.value = "";
      const labelled = judged.length > 0 || own ? 1 : 0;
      stop();
      this.setState(({ place, stored }) => ({ place: place + 1, stored: stored + labelled, error: null }), this.answer);
    });

  tell = (said) => post("feedback", { query: this.question.question, collection: state.collection, ...said });

  key = (event) => {
    if (event.target.matches("input, textarea, select, button, a, summary") || event.metaKey || event.ctrlKey || event.altKey) return;
    const side = SIDES.findIndex((each) => each.key === event.key);
    if (side >= 0) this.toggle(side);
    else if (event.key === "Enter" && this.question) this.next();
  };

  submit = (event) => {
    event.preventDefault();
    this.next();
  };

  render(_, { queue, place, sides, right, stored, error }) {
    const asked = this.question;
    return html`<div class="learn">
      <h1 tabindex="-1">Learn</h1>
      <p class="lead">
        Questions that were asked, in random order. Say which answers are right; what you say is kept as feedback,
        and a gate can be fitted on it.
      </p>
      ${error && html`<p class="note" role="alert">${error.message}</p>`}
      ${queue && html`<${Progress} queue=${queue} place=${place} stored=${stored} />`}
      ${asked &&
      html`<section aria-label="Question" class="labelling">
        <h2 dir="auto">${shown(asked.question)}</h2>
        <div class="certainty">
          <${Against} value=${asked.p_benefit} threshold=${asked.threshold} kind=${asked.action === "retrieve" ? "documents" : "model"} />
          <p class="figures">
            <span>benefit <b>${share(asked.p_benefit)}</b></span><span>threshold <b>${share(asked.threshold)}</b></span>
          </p>
        </div>
        <div class="sides">
          ${SIDES.map(
            (side, at) =>
              html`<${Side} key=${side.key} side=${side} exchange=${sides[at]} right=${right[at]} onToggle=${() => this.toggle(at)} />`,
          )}
        </div>
        <form class="line" onSubmit=${this.submit}>
          <div class="field grow">
            <label for="own">Another right answer, in a few words</label><input id="own" ref=${this.own} type="text" dir="auto" />
          </div>
          <button type="submit" class="primary">${right.some(Boolean) ? "Store, next" : "Next"}</button>
        </form>
        <p class="muted"><kbd>1</kbd> and <kbd>2</kbd> mark an answer as right, <kbd>Enter</kbd> goes on; with nothing marked, nothing is stored.</p>
      </section>`}
      ${queue && !asked && html`<p class="note" role="status">There is no other question to judge.</p>`}
      <${Refit} />
    </div>`;
  }
}

function Progress({ queue, place, stored }) {
  const left = Math.max(0, queue.total - place);
  return html`<p class="muted labelled" role="status">
    ${several(left, "question")} left, ${count(queue.corrected + stored)} with a right answer
  </p>`;
}

function Side({ side, exchange, right, onToggle }) {
  const done = exchange && exchange.status === "done" && exchange.done.finish_reason !== "abstained";
  return html`<div class="side-answer ${right ? "right" : ""}">
    <div class="side-head">
      <h3>${side.name}</h3>
      <button type="button" class="rate" aria-pressed=${right} disabled=${!done} onClick=${onToggle}><kbd>${side.key}</kbd> Right</button>
    </div>
    <div aria-live="polite" aria-busy=${!exchange || !["done", "failed", "stopped"].includes(exchange.status)}>
      ${exchange ? html`<${Basis} exchange=${exchange} />` : html`<p class="basis open">Waiting</p>`}
      ${exchange && exchange.text && html`<${AnswerText} exchange=${exchange} />`}
      ${exchange && exchange.error && html`<p class="warning">${exchange.error.message}</p>`}
    </div>
  </div>`;
}

function Refit() {
  return html`<section class="refit" aria-label="Fit a gate">
    <h2>Then fit a gate</h2>
    <pre tabindex="0"><code>expertrag gate annotate audit.jsonl --out mine             # takes in what was stored here
expertrag eval record mine --index STORE --out rows.jsonl  # both answers of every question
expertrag gate refit rows.jsonl --gate FOLDER              # replaces a gate only for a clear gain</code></pre>
  </section>`;
}
