// The Node.js half of the SDK tests: node sdk.cjs FUNCTION '[arguments]' prints the result as JSON. An error of the
// SDK is a result, too: {"error": {"class", "status", "message", "received"}}; received: chunks before it.
"use strict";

const messages = [{ role: "user", content: "hi" }];

function openai(url) {
  const { OpenAI } = require("openai");
  return new OpenAI({ baseURL: url, apiKey: "sk-client", maxRetries: 0, timeout: 30000 });
}

function anthropic(url) {
  const { Anthropic } = require("@anthropic-ai/sdk");
  return new Anthropic({ baseURL: url, apiKey: "sk-client", maxRetries: 0, timeout: 30000 });
}

async function collect(stream) {
  const all = [];
  try {
    for await (const one of stream) all.push(one);
  } catch (e) {
    e.received = all.length;
    throw e;
  }
  return all;
}

function describe(e) {
  if (!(e instanceof Error)) throw e;
  const { status = null, message, received = 0 } = e;
  return { class: e.constructor.name, status, message, received };
}

// n chats in a row that are expected to fail
async function errors(url, n) {
  const all = [];
  for (let i = 0; i < n; i++) all.push(await functions.chat(url, { model: "gpt-4o" }).then(() => null, describe));
  return all;
}

const functions = {
  errors,
  chat: (url, body) => openai(url).chat.completions.create({ messages, ...body }),
  stream: async (url, body) => collect(await openai(url).chat.completions.create({ messages, ...body, stream: true })),
  embed: (url, body) => openai(url).embeddings.create(body),
  models: async (url) => (await collect(await openai(url).models.list())).map((m) => m.id),
  message: (url, body) => anthropic(url).messages.create(body),
  message_stream: async (url, body) => collect(await anthropic(url).messages.create({ ...body, stream: true })),
};

async function main() {
  const [name, args] = process.argv.slice(2);
  let result;
  try {
    result = await functions[name](...JSON.parse(args));
  } catch (e) {
    result = { error: describe(e) };
  }
  process.stdout.write(JSON.stringify(result));
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
