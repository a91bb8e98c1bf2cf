import { useQuery } from "@tanstack/react-query";
import { sessionQuery } from "./queries";
import type { Role, Session } from "./types";

const rank: Record<Role, number> = { guest: 0, customer: 1, staff: 2, admin: 3 };

export function roleOf(session: Session | undefined): Role {
  if (!session) return "guest";
  if (session.account) return session.account.role;
  return session.open ? (session.role ?? "admin") : (session.role ?? "guest");
}

export interface Rights {
  session: Session | undefined;
  role: Role;
  signedIn: boolean;
  staff: boolean;
  admin: boolean;
}

export function useRights(): Rights {
  const { data: session } = useQuery(sessionQuery);
  const role = roleOf(session);
  return {
    session,
    role,
    signedIn: session !== undefined && (session.account !== null || session.open),
    staff: rank[role] >= rank.staff,
    admin: rank[role] >= rank.admin,
  };
}
