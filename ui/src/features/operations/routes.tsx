import { Redirect, Route, Switch } from "wouter";
import type { ReactNode } from "react";
import { AlertsPage } from "./AlertsPage";
import { AuditPage } from "./AuditPage";
import { CommandPage } from "./CommandPage";
import { CommandsPage } from "./CommandsPage";
import { FloorPage } from "./FloorPage";
import { MachinePage } from "./MachinePage";

/** What the staff see. `fallback` is the app's page for an address nobody knows. */
export default function OperationsRoutes({ fallback }: { fallback: ReactNode }) {
  return (
    <Switch>
      <Route path="/">
        <Redirect to="/operations" replace />
      </Route>
      <Route path="/operations">
        <FloorPage />
      </Route>
      <Route path="/operations/machines/:id">{({ id }) => <MachinePage key={id} id={decodeURIComponent(id)} />}</Route>
      <Route path="/commands">
        <CommandsPage />
      </Route>
      <Route path="/commands/:id">
        {({ id }) => (/^\d{1,15}$/.test(id) ? <CommandPage key={id} id={Number(id)} /> : fallback)}
      </Route>
      <Route path="/alerts">
        <AlertsPage />
      </Route>
      <Route path="/audit">
        <AuditPage />
      </Route>
      <Route>{fallback}</Route>
    </Switch>
  );
}
