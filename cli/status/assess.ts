// Judges what gather.ts found: which problems there are, each with its remedy, and whether the mesh is healthy. Pure.

import type { Problem } from '../../wire/status.ts';
import type { Findings, Replicas, StatusReport } from './report.ts';
import { trustProblems } from './trust.ts';

export function assess(findings: Findings, nowMs: number): StatusReport {
  const problems = [
    ...replicaProblems('control-plane', 'ambit-control-plane', findings.controlPlane),
    ...replicaProblems('certificate authority', 'ambit-ca', findings.ca),
    ...trustProblems(findings, nowMs),
    ...agentProblems(findings),
    ...waypointProblems(findings),
    ...findings.problems,
  ];
  const { traffic } = findings;
  const total = traffic === undefined ? 0 : traffic.mtls + traffic.plaintext;
  return {
    ...findings,
    problems,
    healthy: problems.length === 0,
    mtlsShare: traffic === undefined || total === 0 ? undefined : traffic.mtls / total,
  };
}

function replicaProblems(
  what: string,
  deployment: string,
  replicas: Replicas | undefined,
): Problem[] {
  const object = `Deployment ambit-system/${deployment}`;
  if (replicas === undefined) {
    return [
      {
        object,
        reason: 'NotInstalled',
        message: `The ${what} is not installed in this cluster`,
        remedy:
          'Start a sandbox with `ambit sandbox up`, or check which cluster your kubeconfig names',
      },
    ];
  }
  if (replicas.ready > 0) return [];
  return [
    {
      object,
      reason: 'NotReady',
      message: `None of ${replicas.wanted} replicas of the ${what} is ready`,
      remedy: `See why: kubectl -n ambit-system describe deployment ${deployment}; kubectl -n ambit-system logs deployment/${deployment}`,
    },
  ];
}

function agentProblems(findings: Findings): Problem[] {
  const problems: Problem[] = [];
  for (const node of findings.nodes) {
    const agent = findings.agents.find((candidate) => candidate.node === node);
    if (agent === undefined) {
      problems.push({
        object: `Node ${node}`,
        reason: 'NoAgent',
        message: 'No node agent runs on this node: its pods cannot join the mesh',
        remedy: 'See why: kubectl -n ambit-system describe daemonset ambit-node-agent',
      });
    } else if (!agent.ready) {
      problems.push(
        agentProblem(agent.pod, 'AgentNotReady', `The node agent on ${node} is not ready`),
      );
    } else if (!agent.connected) {
      problems.push(
        agentProblem(
          agent.pod,
          'AgentNotConnected',
          `The node agent on ${node} is not connected to the control plane`,
        ),
      );
    } else if (!agent.inSync) {
      problems.push(
        agentProblem(
          agent.pod,
          'AgentNotInSync',
          `The node agent on ${node} has not taken the newest configuration`,
        ),
      );
    }
  }
  return problems;
}

function agentProblem(pod: string, reason: string, message: string): Problem {
  return {
    object: `Pod ambit-system/${pod}`,
    reason,
    message,
    remedy: `Its pods keep what they have. See why: kubectl -n ambit-system logs ${pod}`,
  };
}

/** What has a reason of its own is a problem of the control plane's telling already. */
function waypointProblems({ waypoints, problems }: Findings): Problem[] {
  return waypoints.flatMap(
    ({ namespace, name, kind, programmed, message, services, workloads }) => {
      const object = `Gateway ${namespace}/${name}`;
      if (programmed || problems.some((problem) => problem.object === object)) return [];
      const users = services + workloads;
      const cost = users > 0 ? `: connections to the ${users} that must go through it fail` : '';
      return [
        {
          object,
          reason: kind === 'waypoint' ? 'WaypointNotReady' : 'GatewayNotReady',
          message: `${message}${cost}`,
          remedy: `See why: kubectl -n ${namespace} describe gateway ${name}; kubectl -n ${namespace} get pods -l gateway.networking.k8s.io/gateway-name=${name}`,
        },
      ];
    },
  );
}
