// What the page asks of the server. Knows nothing of the page.

const KEY = "leopard-key";

export class ApiError extends Error {}

let askForKey = async () => null;

/** Say how a key is got from the person; called when the server wants one. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

async function call(path, options = {}) {
  for (;;) {
    const headers = new Headers(options.headers);
    const key = sessionStorage.getItem(KEY);
    if (key) headers.set("Authorization", `Bearer ${key}`);
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError("The server cannot be reached; is it still running?");
    }
    if (answer.ok) return answer;
    if (answer.status === 401) {
      const given = await askForKey();
      if (given) {
        sessionStorage.setItem(KEY, given);
        continue;
      }
    }
    throw new ApiError(await messageOf(answer));
  }
}

async function messageOf(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

export async function modelName() {
  return (await (await call("/v1/models")).json()).data[0].id;
}

export async function upload(file) {
  const body = new FormData();
  body.append("file", file, file.name || "pasted.png");
  body.append("purpose", "user_data");
  return (await call("/v1/files", { method: "POST", body })).json();
}

export async function remove(id) {
  await call(`/v1/files/${encodeURIComponent(id)}`, { method: "DELETE" });
}

function query(files, wanted) {
  const found = new URLSearchParams(files.map((file) => ["file", file.id]));
  if (wanted) found.set("pages", wanted);
  return found;
}

export async function listPages(files, wanted, signal) {
  return (await call(`/v1/pages?${query(files, wanted)}`, { signal })).json();
}

export async function pictureUrl(position, files, wanted, signal) {
  const answer = await call(`/v1/pages/${position}?${query(files, wanted)}`, { signal });
  return URL.createObjectURL(await answer.blob());
}

/** The answer to a question, piece by piece: {text}, {reason} and {usage} objects. */
export async function* ask({ model, files, wanted, question, maxTokens }, signal) {
  const content = files.map((file) => ({ type: "file", file: { file_id: file.id } }));
  content.push({ type: "text", text: question });
  const body = {
    model,
    messages: [{ role: "user", content }],
    max_tokens: maxTokens,
    stream: true,
    stream_options: { include_usage: true },
  };
  if (wanted && files.length) body.pages = wanted;
  const answer = await call("/v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  for await (const data of events(answer.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ApiError(chunk.error.message);
    const choice = chunk.choices[0];
    if (choice?.delta.content) yield { text: choice.delta.content };
    if (choice?.finish_reason) yield { reason: choice.finish_reason };
    if (chunk.usage) yield { usage: chunk.usage };
  }
  throw new ApiError("The connection ended before the answer did.");
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data: ")) yield line.slice(6);
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
