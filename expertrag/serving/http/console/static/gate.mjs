// The gate's decision, and what an answer has cost.
import { Against, Diverging, Shares } from "./bars.mjs";
import { html } from "./html.mjs";
import { count, seconds, several, share, shown, words } from "./text.mjs";

const ACTIONS = { retrieve: "Retrieve", closed_book: "Closed book" };

export function Gate({ gate }) {
  const kind = gate.action === "retrieve" ? "documents" : "model";
  return html`<div class="panel" role="group" aria-label="Gate">
    <h3><span class="label">Gate</span> <b class=${kind}>${ACTIONS[gate.action]}</b></h3>
    <${Benefit} gate=${gate} kind=${kind} />
    <p class="reason">${shown(gate.reason)}</p>
    ${gate.rewritten_question &&
    html`<p class="reason">Read as: <q dir="auto">${shown(gate.rewritten_question)}</q></p>`}
    ${gate.warnings.map((warning) => html`<p class="warning" key=${warning}>${shown(warning)}</p>`)}
    <${Contributions} values=${gate.contributions} />
    <${Experts} gate=${gate} />
    <${Signals} gate=${gate} />
  </div>`;
}

function Benefit({ gate, kind }) {
  if (gate.p_benefit == null) {
    const forced = gate.mode === "auto" ? "not estimated" : `forced by the mode ${gate.mode}`;
    return html`<p class="figures">${forced}</p>`;
  }
  return html`<div>
    <${Against} value=${gate.p_benefit} threshold=${gate.threshold} kind=${kind} />
    <p class="figures">
      <span>benefit <b>${share(gate.p_benefit)}</b></span>
      <span>threshold <b>${share(gate.threshold)}</b></span>
    </p>
  </div>`;
}

function Contributions({ values }) {
  const sorted = Object.entries(values).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  if (!sorted.length) return null;
  const signed = (nats) => `${nats < 0 ? "−" : "+"}${Math.abs(nats).toFixed(2)}`;
  return html`<${Diverging} values=${sorted} label="What moved it, in log odds" name=${words} value=${signed} />`;
}

function Experts({ gate }) {
  const likely = Object.entries(gate.domains)
    .filter(([, probability]) => probability >= 0.01)
    .sort((a, b) => b[1] - a[1])
    .slice(0, 4);
  return html`<div>
    ${likely.length > 0 &&
    html`<${Shares} values=${likely} label="Domains of the question" name=${words} value=${share} />`}
    ${gate.expert &&
    gate.action === "retrieve" &&
    html`<p class="figures">answered by the expert <b>${shown(gate.expert)}</b></p>`}
    ${gate.pattern && html`<p class="figures">answered by the experts of <b>${shown(gate.pattern)}</b></p>`}
  </div>`;
}

function Signals({ gate }) {
  const signals = Object.entries(gate.signals);
  const zero = signals.filter(([, value]) => value === 0).length;
  const estimates = [
    ["p correct, closed book", gate.p_correct_closed_book],
    ["p correct, with passages", gate.p_correct_retrieval],
    ...signals.filter(([, value]) => value !== 0).map(([name, value]) => [words(name), value]),
  ].filter(([, value]) => value != null);
  if (!estimates.length && !gate.calibrator) return null;
  return html`<details class="more">
    <summary>Signals</summary>
    <table class="plain">
      <tbody>
        ${estimates.map(
          ([name, value]) => html`<tr key=${name}>
            <th scope="row">${name}</th>
            <td class="figure">${value.toFixed(3)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
    ${zero > 0 && html`<p class="figures">${several(zero, "further signal")} at zero</p>`}
    ${gate.calibrator && html`<p class="figures">${shown(gate.calibrator)}</p>`}
  </details>`;
}

// Stages by kind of work, in the order in which they run.
const KINDS = {
  rewrite: "reading",
  route: "reading",
  embed: "reading",
  gate: "deciding",
  check: "deciding",
  prefill: "deciding",
  draft: "deciding",
  search: "searching",
  rerank: "searching",
  judge: "searching",
  generate: "generating",
  ground: "grounding",
};

export function Cost({ usage, done, generation }) {
  const order = Object.keys(KINDS);
  const stages = Object.entries(usage.stage_seconds).sort((a, b) => order.indexOf(a[0]) - order.indexOf(b[0]));
  const total = stages.reduce((sum, [, time]) => sum + time, 0);
  const about = [
    several(usage.lm_calls, "LM call"),
    several(usage.retrieval_calls, "search").replace("searchs", "searches"),
    `${count(usage.prompt_tokens)} + ${several(usage.completion_tokens, "token")}`,
    usage.cached_prompt_tokens > 0 && `${count(usage.cached_prompt_tokens)} of the prompt cached`,
    usage.vectors_scanned > 0 && `${several(usage.vectors_scanned, "vector")} scanned`,
    usage.reranked > 0 && `${count(usage.reranked)} reranked`,
    usage.turns_dropped > 0 && `${several(usage.turns_dropped, "turn")} did not fit`,
    done.p_sufficient != null && `passages sufficient: ${done.p_sufficient.toFixed(2)}`,
    done.support != null && `answer right: ${done.support.toFixed(2)}`,
  ].filter(Boolean);
  return html`<div class="panel" role="group" aria-label="Cost">
    <h3><span class="label">Cost</span> <b>${seconds(total)}</b></h3>
    <div class="stack" aria-hidden="true">
      ${stages.map(
        ([stage, time]) =>
          html`<i key=${stage} class=${KINDS[stage] || "reading"} style=${{ flexGrow: time / (total || 1) }}></i>`,
      )}
    </div>
    <ul class="stages">
      ${stages.map(
        ([stage, time]) => html`<li key=${stage}>
          <i class="swatch ${KINDS[stage] || "reading"}"></i>${words(stage)} <span>${seconds(time)}</span>
        </li>`,
      )}
    </ul>
    <p class="figures wrap">${about.map((each) => html`<span key=${each}>${each}</span>`)}</p>
    <p class="figures wrap">
      <span>${shown(done.model)}</span>${generation != null && html`<span>generation ${count(generation)}</span>`}
    </p>
  </div>`;
}
