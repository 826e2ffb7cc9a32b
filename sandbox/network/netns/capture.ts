// Watches the link between nodes: a packet socket on the sandbox's bridge. Opened by cluster.ts for the tour and the tests
// that prove what crosses the link. Invariant: each frame is seen once, and a slow reader loses frames, never memory.

import { closeSync } from 'node:fs';
import type { FilterInstruction } from '../../../node-agent/capture/syscalls.ts';
import {
  inNetns,
  openPacketSocket,
  receiveFrame,
  takeFrameDrops,
} from '../../../node-agent/capture/syscalls.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Log } from '../../../runtime/log.ts';
import type { LinkCapture } from '../network.ts';
import { type LinkPacket, readFrame } from '../packet.ts';
import type { NetworkNamespace } from './namespace.ts';

/** How often waiting frames are fetched: Node.js cannot watch a packet socket. Short, as the kernel's buffer is small. */
const POLL_MS = 2;
/** What the kernel may hold for us; an ordinary user gets net.core.rmem_max at most. */
const RECEIVE_BYTES = 16 * 1024 * 1024;
/** Frames fetched at one poll before others get their turn. */
const FRAMES_A_POLL = 512;
/** The largest frame there is: 64 KiB of IP, uncut by the sending device, and its Ethernet header. */
const MAX_FRAME_BYTES = 65_536 + 64;

export function captureBridge(
  parts: { clock: Clock; log: Log; fabric: NetworkNamespace },
  settings: { /** The bridge's link number. */ bridge: number },
  onPacket: (packet: LinkPacket) => void,
): LinkCapture {
  const fd = inNetns(parts.fabric.netns, () =>
    openPacketSocket({
      filter: onceFilter(settings.bridge),
      receiveBytes: RECEIVE_BYTES,
    }),
  );
  const buffer = Buffer.alloc(MAX_FRAME_BYTES);
  let dropped = 0;
  let open = true;

  const poll = (): void => {
    for (let count = 0; open && count < FRAMES_A_POLL; count++) {
      const length = receiveFrame(fd, buffer);
      if (length === undefined) return;
      const packet = readFrame(Buffer.from(buffer.subarray(0, length)), parts.clock.now());
      if (packet !== undefined) onPacket(packet);
    }
  };
  const timer = setInterval(() => {
    try {
      poll();
    } catch (error) {
      parts.log.error('Stopped watching the link between nodes', { error });
      close();
    }
  }, POLL_MS);
  timer.unref();

  const close = (): void => {
    if (!open) return;
    open = false;
    clearInterval(timer);
    closeSync(fd);
  };
  return {
    dropped: () => {
      if (open) dropped += takeFrameDrops(fd);
      return dropped;
    },
    close: () => {
      // what has arrived by now was asked for
      if (open) poll();
      close();
    },
  };
}

// linux/filter.h, linux/bpf_common.h
const LOAD_WORD = 0x20;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;
const PACKET_TYPE = 0xfffff004;
const LINK_NUMBER = 0xfffff008;
const OUTGOING = 4;
/** Every namespace's lo is its first link. */
const LO = 1;
const WHOLE = 0xffffffff;

/**
 * A frame from node to node passes two of the bridge's ports, and one from or to the sandbox itself a port and the bridge.
 * Kept: what a port receives from its node, and what the sandbox itself sends out through the bridge.
 */
function onceFilter(bridge: number): readonly FilterInstruction[] {
  return [
    [LOAD_WORD, 0, 0, PACKET_TYPE],
    [JUMP_EQUAL, 4, 0, OUTGOING],
    // received: by a port, not by the bridge itself nor by lo
    [LOAD_WORD, 0, 0, LINK_NUMBER],
    [JUMP_EQUAL, 4, 0, bridge],
    [JUMP_EQUAL, 3, 0, LO],
    [RETURN, 0, 0, WHOLE],
    // sent: through the bridge itself
    [LOAD_WORD, 0, 0, LINK_NUMBER],
    [JUMP_EQUAL, 1, 0, bridge],
    [RETURN, 0, 0, 0],
    [RETURN, 0, 0, WHOLE],
  ];
}
