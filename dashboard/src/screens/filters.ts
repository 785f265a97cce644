/** What each screen can be filtered by. */
import type { FilterKey } from "../lib/filters";

export const FILTERS_OF: Readonly<Record<string, readonly FilterKey[]>> = {
  "/agents": [
    { key: "user", label: "User" },
    { key: "repo", label: "Repo" },
    { key: "model", label: "Model" },
    { key: "source", label: "Source" },
    { key: "tool", label: "Tool" },
    { key: "session", label: "Session" },
  ],
  "/loops": [
    { key: "workload_id", label: "Workload" },
    { key: "framework", label: "Framework" },
    { key: "loop_type", label: "Loop type" },
    { key: "team", label: "Team" },
    { key: "outcome", label: "Outcome" },
  ],
  "/flags": [
    { key: "resolver", label: "Resolver" },
    { key: "sdk", label: "SDK" },
    { key: "version", label: "Version" },
  ],
  "/product": [
    { key: "module", label: "Module" },
    { key: "version", label: "Version" },
    { key: "platform", label: "Platform" },
    { key: "deployment_mode", label: "Deployment" },
    { key: "execution_kind", label: "Kind" },
    { key: "phase", label: "Phase" },
  ],
};
