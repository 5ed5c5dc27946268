// The names that exist in every fresh isolate of the running Node: what the language has, asked of
// a new context, and what Node adds to it. Whatever users, polyfills and test frameworks have put
// on the globals of this isolate is not among them.
//
// CommonJS' `require`, `module`, `exports`, `__dirname` and `__filename` belong to a module.
import { runInNewContext } from 'node:vm';

const names = `
  process global Buffer clearImmediate setImmediate clearInterval setInterval clearTimeout
  setTimeout queueMicrotask structuredClone atob btoa performance fetch crypto
  URL URLSearchParams DOMException AbortController AbortSignal Event EventTarget CustomEvent
  TextEncoder TextDecoder TextEncoderStream TextDecoderStream CompressionStream
  DecompressionStream TransformStream TransformStreamDefaultController WritableStream
  WritableStreamDefaultController WritableStreamDefaultWriter ReadableStream
  ReadableStreamDefaultReader ReadableStreamBYOBReader ReadableStreamBYOBRequest
  ReadableByteStreamController ReadableStreamDefaultController ByteLengthQueuingStrategy
  CountQueuingStrategy BroadcastChannel MessageChannel MessagePort MessageEvent Blob File
  Performance PerformanceEntry PerformanceMark PerformanceMeasure PerformanceObserver
  PerformanceObserverEntryList PerformanceResourceTiming FormData Headers Request Response
  Crypto CryptoKey SubtleCrypto
`;

// The major version that first has it without a flag. Before, one of that name is somebody's own.
const since: Readonly<Record<string, number>> = {
  navigator: 21,
  Navigator: 21,
  WebSocket: 22,
  CloseEvent: 23,
  URLPattern: 24,
  ErrorEvent: 25,
  Storage: 25,
  localStorage: 25,
  sessionStorage: 25,
  QuotaExceededError: 26,
};

let known: ReadonlySet<string> | undefined;

/** All of them; read once. */
export function isolateGlobals(): ReadonlySet<string> {
  known ??= readGlobals();
  return known;
}

function readGlobals(): ReadonlySet<string> {
  const ofLanguage = runInNewContext('Object.getOwnPropertyNames(globalThis)') as string[];
  const major = Number.parseInt(process.versions.node, 10);
  const newer = Object.keys(since).filter((name) => since[name]! <= major);
  // A build or a flag may leave some of Node's out, such as `crypto` or `fetch`.
  const ofNode = [...names.trim().split(/\s+/), ...newer].filter((name) => name in globalThis);
  return new Set([...ofLanguage, ...ofNode]);
}
