// What Node's parser lets pass of a request's head and two servers could still read differently. Called by http1-server.ts
// with every head, before anything is decided about it. Pure. Invariant: what is refused here is never repaired: its
// connection ends, for nobody knows where the next request in it begins.

export type FramingProblem = { readonly status: number; readonly why: string };

export type RawHead = {
  readonly method: string;
  readonly httpVersion: string;
  /** Names and values in turns, as sent. */
  readonly rawHeaders: readonly string[];
  readonly upgrades: boolean;
};

/** Node's parser reads these protocols too, and does not tell that it was not HTTP. */
const OF_OTHERS =
  /^(?:ANNOUNCE|DESCRIBE|FLUSH|GET_PARAMETER|PAUSE|PLAY|RECORD|REDIRECT|SETUP|SET_PARAMETER|SOURCE|TEARDOWN)$/;

export function framingProblem(head: RawHead): FramingProblem | undefined {
  const { method, httpVersion, rawHeaders, upgrades } = head;
  if (OF_OTHERS.test(method)) return { status: 501, why: `method ${method}, of RTSP or ICE` };
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    return { status: 505, why: `version ${httpVersion} in a request line of HTTP/1` };
  }
  const { hosts, sized, codings } = framingOf(rawHeaders);
  // RFC 9112 section 3.2
  if (hosts > 1) return { status: 400, why: 'more than one Host' };
  if (hosts === 0 && httpVersion === '1.1') return { status: 400, why: 'no Host' };
  const unknown = codingProblem(codings, httpVersion);
  if (unknown !== undefined) return unknown;
  if (upgrades && (sized || codings.length > 0)) {
    // whether it ends where the body does, or where the new protocol begins, is read in two ways
    return { status: 400, why: 'a body in a request to change the protocol' };
  }
  return undefined;
}

function framingOf(rawHeaders: readonly string[]) {
  let hosts = 0;
  let sized = false;
  const codings: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const value = rawHeaders[at + 1] ?? '';
    switch ((rawHeaders[at] ?? '').toLowerCase()) {
      case 'host':
        hosts++;
        break;
      case 'content-length':
        sized ||= Number(value) > 0;
        break;
      case 'transfer-encoding':
        codings.push(value.trim().toLowerCase());
    }
  }
  return { hosts, sized, codings };
}

function codingProblem(
  codings: readonly string[],
  httpVersion: string,
): FramingProblem | undefined {
  const [coding, ...others] = codings;
  if (coding === undefined) return undefined;
  // section 6.1: HTTP/1.0 knows none, whoever sends it may have passed it on unread
  if (httpVersion === '1.0') return { status: 400, why: 'transfer-encoding in HTTP/1.0' };
  if (others.length > 0) return { status: 400, why: 'more than one transfer-encoding' };
  return coding === 'chunked' ? undefined : unknownCoding(coding);
}

/** RFC 9112 section 6.1: 501 for what could be understood, 400 where the end of the body cannot even be found. */
function unknownCoding(coding: string): FramingProblem {
  const status = /^[a-z-]+\s*,\s*chunked$/.test(coding) ? 501 : 400;
  return { status, why: `transfer-encoding "${coding.slice(0, 50)}"` };
}
