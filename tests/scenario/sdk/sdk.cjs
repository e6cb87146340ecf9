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

function upload(name, type) {
  const { toFile } = require("openai");
  return toFile(Buffer.from("RIFF\r\n--\0bytes", "latin1"), name, { type });
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

// One session: the types of its events until the response is done.
function session(socket) {
  return new Promise((resolve, reject) => {
    const types = [];
    socket.on("error", reject);
    socket.on("event", (event) => {
      types.push(event.type);
      if (event.type === "session.created") socket.send({ type: "session.update", session: { type: "realtime" } });
      if (event.type === "session.updated") socket.send({ type: "response.create" });
      if (event.type !== "response.done") return;
      socket.close();
      resolve(types);
    });
  });
}

// The browser's class, which sends the key as a subprotocol. It always wants TLS, and hale has none of its own.
function realtime(url, model) {
  const WebSocket = require("ws");
  globalThis.WebSocket = class extends WebSocket {
    constructor(address, protocols) {
      super(String(address).replace(/^wss:/, "ws:"), protocols);
    }
  };
  const { OpenAIRealtimeWebSocket } = require("openai/realtime/websocket");
  return session(new OpenAIRealtimeWebSocket({ model, dangerouslyAllowBrowser: true }, openai(url)));
}

const functions = {
  errors,
  realtime,
  chat: (url, body) => openai(url).chat.completions.create({ messages, ...body }),
  stream: async (url, body) => collect(await openai(url).chat.completions.create({ messages, ...body, stream: true })),
  complete: (url, body) => openai(url).completions.create({ prompt: "hi", ...body }),
  complete_stream: async (url, body) => collect(await openai(url).completions.create({ prompt: "hi", ...body, stream: true })),
  embed: (url, body) => openai(url).embeddings.create(body),
  image: (url, body) => openai(url).images.generate(body),
  image_stream: async (url, body) => collect(await openai(url).images.generate({ ...body, stream: true })),
  edit: async (url, body) => openai(url).images.edit({ ...body, image: await upload("a.png", "image/png") }),
  transcribe: async (url, body) => openai(url).audio.transcriptions.create({ ...body, file: await upload("a.wav", "audio/wav") }),
  transcribe_stream: async (url, body) =>
    collect(await openai(url).audio.transcriptions.create({ ...body, stream: true, file: await upload("a.wav", "audio/wav") })),
  translate: async (url, body) => openai(url).audio.translations.create({ ...body, file: await upload("a.wav", "audio/wav") }),
  speech: async (url, body) => {
    const bytes = Buffer.from(await (await openai(url).audio.speech.create(body)).arrayBuffer());
    return { size: bytes.length, start: bytes.toString("latin1", 0, 4) };
  },
  moderate: (url, body) => openai(url).moderations.create(body),
  batch: async (url, body) => {
    const client = openai(url);
    const file = await client.files.create({ file: await upload("in.jsonl", "application/jsonl"), purpose: "batch" });
    const content = await (await client.files.content(file.id)).text();
    const batch = await client.batches.create({ ...body, input_file_id: file.id });
    const cancelled = await client.batches.cancel(batch.id);
    const listed = (await collect(await client.batches.list())).map((b) => b.id);
    const deleted = await client.files.delete(file.id);
    return { file, content, batch, cancelled, listed, deleted };
  },
  azure: (url, body) => {
    const { AzureOpenAI } = require("openai");
    const client = new AzureOpenAI({ endpoint: url, apiKey: "sk-client", apiVersion: "2024-10-21", maxRetries: 0 });
    return client.chat.completions.create({ messages, ...body });
  },
  response: (url, body) => openai(url).responses.create({ input: "hi", ...body }),
  response_stream: async (url, body) =>
    collect(await openai(url).responses.create({ input: "hi", ...body, stream: true })),
  models: async (url) => (await collect(await openai(url).models.list())).map((m) => m.id),
  count_tokens: (url, body) => anthropic(url).messages.countTokens(body),
  message_text: async (url, body) => (await anthropic(url).messages.stream(body).finalMessage()).content[0].text,
  anthropic_models: async (url) => (await collect(await anthropic(url).models.list())).map((m) => m.id),
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
