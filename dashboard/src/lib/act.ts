/** Writes: something is sent, what came back is said, what is shown is asked again. */
import { useQueryClient } from "@tanstack/preact-query";
import { useState } from "preact/hooks";
import { ApiError } from "./api";

interface Acting {
  /** What to tell about the last one; empty after a success that speaks for itself. */
  readonly said: string;
  readonly act: <T>(work: () => Promise<T>, done?: (answer: T) => string) => Promise<T | null>;
}

export function useAct(): Acting {
  const client = useQueryClient();
  const [said, setSaid] = useState("");
  const act = async <T,>(work: () => Promise<T>, done?: (answer: T) => string): Promise<T | null> => {
    try {
      const answer = await work();
      setSaid(done?.(answer) ?? "");
      return answer;
    } catch (error) {
      setSaid(error instanceof ApiError ? `${error.message} (${error.code})` : "That did not work.");
      return null;
    } finally {
      await client.invalidateQueries();
    }
  };
  return { said, act };
}
