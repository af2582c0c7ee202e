import { Component, type ReactNode } from "react";
import { t } from "../strings";
import { Button, Fault } from "./kit";

/** Boundary keeps a fault in one part of the page from taking the call with it. */
export class Boundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <div className="grid size-full place-items-center p-4">
        <Fault action={<Button small onClick={() => location.reload()}>{t.broken.reload}</Button>}>
          <p className="font-medium">{t.broken.title}</p>
          <p>{t.broken.text}</p>
        </Fault>
      </div>
    );
  }
}
