// A question and what became of it: made once, and replaced by a new object with every event.
import { Refused, events } from "./api.mjs";

const BROKEN = "The answer broke off.";

let made = 0;

export function exchangeOf(question, mode, collection) {
  made += 1;
  return {
    key: made,
    question,
    mode,
    collection,
    status: "waiting",
    gate: null,
    passages: null,
    generation: null,
    progress: null,
    table: null,
    coverage: null,
    text: "",
    citations: [],
    usage: null,
    done: null,
    error: null,
    rated: null,
  };
}

// Runs it to its end, and publishes each state; resolves whatever happens.
export async function run(exchange, history, signal, publish) {
  const { question, mode, collection } = exchange;
  const change = (patch) => {
    exchange = { ...exchange, ...patch };
    publish(exchange);
  };
  change({ status: "waiting" });
  try {
    for await (const [name, data] of events("answer", { question, mode, collection, history }, signal)) {
      change(changeOf(exchange, name, data));
    }
    if (!exchange.done) change({ status: "failed", error: new Error(BROKEN) });
  } catch (error) {
    if (error.name === "AbortError") change({ status: "stopped" });
    else change({ status: "failed", error: error instanceof Refused ? error : new Error(BROKEN) });
  }
  return exchange;
}

function changeOf(exchange, name, data) {
  if (name === "gate") return { gate: data, status: "answering" };
  if (name === "progress") return { progress: data };
  if (name === "passages") return data;
  if (name === "table") return { ...data, progress: null };
  if (name === "delta") return { text: exchange.text + data.text };
  if (name === "citation") return { citations: [...exchange.citations, data] };
  if (name === "usage") return { usage: data };
  return name === "done" ? { done: data, status: "done" } : {};
}

// What an answer is based on: "documents", "model", "abstained"; empty while that is open.
export function basis({ status, done, gate }) {
  if (done) {
    if (done.finish_reason === "abstained") return "abstained";
    return done.from_documents ? "documents" : "model";
  }
  if (status === "waiting" || status === "failed" || !gate) return "";
  return gate.action === "closed_book" ? "model" : "documents";
}

const KEPT = 40;

// The conversation about one collection: what another holds stays out of its prompts.
export function historyOf(exchanges, collection) {
  const turns = exchanges
    .filter((each) => each.status === "done" && each.text && each.collection === collection)
    .flatMap((each) => [
      { role: "user", text: each.question },
      { role: "assistant", text: each.text },
    ]);
  return turns.slice(-KEPT);
}
