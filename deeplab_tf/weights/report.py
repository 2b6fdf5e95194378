"""What loading did, variable by variable."""

from dataclasses import dataclass

from deeplab_tf.weights.names import layer_of


@dataclass(frozen=True)
class LoadReport:
    """Outcome of `load_weights`.

    Attributes:
        loaded: the model's variables that took the file's values.
        skipped: what the file holds and the model did not take, under the file's or the canonical names.
        reinitialised: the model's variables that keep the fresh values they were built with.
        grown: variables that start as an identity and only become useful if the trainer unfreezes them (their
            gammas).
        notes: one sentence each on decisions taken on the way.
    """

    loaded: tuple[str, ...]
    skipped: tuple[str, ...]
    reinitialised: tuple[str, ...]
    grown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def table(self) -> str:
        """A text table, one line per layer, ending with the totals and the notes."""
        rows = []
        for status, names in (
            ("loaded", self.loaded),
            ("re-initialised", self.reinitialised),
            ("skipped", self.skipped),
        ):
            layers: dict[str, list[str]] = {}
            for name in names:
                layers.setdefault(layer_of(name), []).append(name.rsplit("/", 1)[-1] if "/" in name else "")
            rows += [(layer, status, " ".join(variables).strip()) for layer, variables in layers.items()]
        width = max((len(layer) for layer, _, _ in rows), default=0)
        lines = [f"{layer:<{width}}  {status:<14}  {variables}".rstrip() for layer, status, variables in rows]
        lines.append(
            f"{len(self.loaded)} variables loaded, {len(self.reinitialised)} re-initialised, "
            f"{len(self.skipped)} of the file's skipped"
        )
        return "\n".join(lines + [f"note: {note}" for note in self.notes])
