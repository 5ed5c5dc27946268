// The handle of a socket, which conn.ts and net.ts make connections and listeners of.
import { binding } from './binding.js';
import type { Arrived } from './handle.js';
import { HandleKind, onHandle, Shareable } from './handle.js';
import { settleLocal } from './mail.js';

export class Socket extends Shareable {
  constructor(readonly id: number) {
    super();
  }

  toHandle(): number {
    return this.id;
  }

  get isClosed(): boolean {
    return binding.lookAt(this.id, 2) !== 0;
  }

  /** False if it was closed before. With `reset` the other end is told that something is wrong. */
  close(reset = false): boolean {
    const isFirst = binding.act(this.id, reset ? 1 : 0);
    settleLocal();
    return isFirst;
  }

  /** As text, `host:port` or a path; undefined if it has none any more. */
  address(ofPeer: boolean): string | undefined {
    return binding.socketAddress(this.id, ofPeer ? 1 : 0);
  }
}

onHandle(HandleKind.socket, ({ id }: Arrived) => new Socket(id));
