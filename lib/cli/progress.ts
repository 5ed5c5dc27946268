// Progress of a long command: one line that rewrites itself on a terminal, nothing in a pipe.
import yoctoSpinner from 'yocto-spinner';

export interface Progress {
  /** Says what is being done now. */
  say(text: string): void;
  /** Takes the line away; it can be followed by output, and by more progress. */
  clear(): void;
}

/** Where progress may be shown; a part of `process.stderr`. */
export type ProgressStream = NodeJS.WriteStream;

const kSilent: Progress = { say() {}, clear() {} };

/** A spinner on `stream` if that is a terminal, else silence. */
export function startProgress(stream: ProgressStream): Progress {
  if (!stream.isTTY) return kSilent;
  let spinner: ReturnType<typeof yoctoSpinner> | undefined;
  const fit = (text: string): string => text.slice(0, Math.max(20, (stream.columns || 80) - 4));
  return {
    say(text) {
      if (spinner === undefined) spinner = yoctoSpinner({ text: fit(text), stream }).start();
      else spinner.text = fit(text);
    },
    clear() {
      spinner?.stop();
      spinner = undefined;
    },
  };
}
