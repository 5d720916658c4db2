"""Users' models and publications, added to those that exist."""

from collections.abc import Sequence

from llama_operator.catalog.refusals import listed
from llama_operator.catalog.rows import Architecture, Model, Publication
from llama_operator.catalog.table_set import Tables, with_auto_ranks
from llama_operator.catalog.user_rows import RefusedRowError, UserRow
from llama_operator.catalog.user_schema import UserArchitecture, UserModel, UserPublication


class AddedModels:
    """Models and publications that grow row by row; a refused row leaves them as they were."""

    def __init__(self, tables: Tables) -> None:
        self.models = {(model.name, model.size): model for model in tables.models}
        self.publications = list(tables.publications)
        self._taken = {_key(row): row.repository for row in tables.publications}
        self._recommended = {
            (row.model, row.size, row.format, row.hub)
            for row in tables.publications
            if row.recommended
        }
        self._architectures = {row.name: row for row in tables.architectures}
        self._schemes = {row.name.casefold(): row for row in tables.schemes}
        self._formats = {row.name: row for row in tables.formats}
        self._tables = tables
        self._usual_schemes: dict[tuple[str, str], set[str]] = {}
        for row in tables.publications:
            pair = (row.format, row.quantization.casefold())
            self._usual_schemes.setdefault(pair, set()).add(row.scheme)

    def add(self, row: UserRow, wanted: UserModel) -> None:
        """Add a model with its publications, or publications to a model that exists.

        Raises:
            RefusedRowError: a name is taken or unknown.
        """
        key = (wanted.name, wanted.size)
        model = self.models.get(key)
        if model is None:
            model = self._new_model(row, wanted)
        elif facts := wanted.facts_given():
            raise RefusedRowError(
                facts[0],
                f"{wanted.name} {wanted.size} exists; only publications can be added to it, "
                "so choose another name or write only name, size and publications",
            )
        publications = self._new_publications(row, wanted)
        self.models[key] = model
        self.publications += publications
        self._taken |= {_key(added): added.repository for added in publications}
        self._recommended |= {
            (added.model, added.size, added.format, added.hub)
            for added in publications
            if added.recommended
        }

    def _new_model(self, row: UserRow, wanted: UserModel) -> Model:
        if wanted.architecture is None:
            raise RefusedRowError(
                "architecture",
                f"is required for a new model: one of {listed(self._architectures)}, or its shape "
                "with the keys of config.json",
            )
        if isinstance(wanted.architecture, UserArchitecture):
            architecture = _shape(wanted, wanted.architecture, row)
        else:
            named = self._architectures.get(wanted.architecture)
            if named is None:
                raise RefusedRowError(
                    "architecture",
                    f"no architecture has this name; write {listed(self._architectures)}",
                )
            architecture = named
        longest = architecture.max_position_embeddings
        if (wanted.context_length or 0) > longest:
            raise RefusedRowError("context_length", f"is above max_position_embeddings, {longest}")
        return Model(
            name=wanted.name,
            size=wanted.size,
            architecture=architecture,
            context_length=wanted.context_length or longest,
            languages=tuple(wanted.languages or ()),
            abilities=tuple(wanted.abilities or ("chat",)),
            licence=wanted.licence or "not stated",
            description=wanted.description or "",
            not_servable="",
            source=wanted.source or f"ConfigMap {row.configmap}",
        )

    def _new_publications(self, row: UserRow, wanted: UserModel) -> Sequence[Publication]:
        added: list[Publication] = []
        taken = dict(self._taken)
        recommended = set(self._recommended)
        chosen_here = {(item.format, item.hub) for item in wanted.publications if item.recommended}
        for index, item in enumerate(wanted.publications):
            place = f"publications[{index}]"
            choice = (wanted.name, wanted.size, item.format, item.hub)
            if item.recommended and choice in recommended:
                raise RefusedRowError(
                    f"{place}.recommended",
                    f"{item.format} on {item.hub} has a recommended quantization already",
                )
            first = choice not in recommended and (item.format, item.hub) not in chosen_here
            publication = self._publication(row, wanted, item, place, recommended=first)
            if (repository := taken.get(_key(publication))) is not None:
                raise RefusedRowError(
                    place,
                    f"{item.format} {item.quantization} on {item.hub} is published by {repository} "
                    "already",
                )
            taken[_key(publication)] = publication.repository
            if publication.recommended:
                recommended.add(choice)
            added.append(publication)
        for item in wanted.publications:
            if (wanted.name, wanted.size, item.format, item.hub) not in recommended:
                raise RefusedRowError(
                    "publications",
                    f"one of {item.format} on {item.hub} must be recommended; remove "
                    "recommended: false",
                )
        return with_auto_ranks(added, self._tables.formats, self._tables.schemes)

    def _publication(
        self,
        row: UserRow,
        wanted: UserModel,
        item: UserPublication,
        place: str,
        *,
        recommended: bool,
    ) -> Publication:
        return Publication(
            model=wanted.name,
            size=wanted.size,
            format=item.format,
            quantization=item.quantization,
            hub=item.hub,
            repository=item.repository,
            files=item.files,
            parts=item.parts,
            scheme=self._scheme(item, f"{place}.scheme"),
            engines=tuple(item.engines),
            gated=item.gated,
            quantize_at_load=item.quantize_at_load,
            recommended=bool(item.recommended) or (recommended and item.recommended is None),
            file_bytes=item.file_bytes,
            source=item.source or f"ConfigMap {row.configmap}",
        )

    def _scheme(self, item: UserPublication, field: str) -> str:
        families = self._formats[item.format].families
        allowed = listed(row.name for row in self._schemes.values() if row.family in families)
        if item.scheme is None:
            usual = self._usual_schemes.get((item.format, item.quantization.casefold()), set())
            if len(usual) == 1:
                return next(iter(usual))
            raise RefusedRowError(
                field,
                f"is required: {item.format} {item.quantization} names no single scheme; write "
                f"{allowed}",
            )
        scheme = self._schemes.get(item.scheme.casefold())
        if scheme is None or scheme.family not in families:
            raise RefusedRowError(field, f"is no scheme of {item.format}; write {allowed}")
        return scheme.name


def _shape(wanted: UserModel, given: UserArchitecture, row: UserRow) -> Architecture:
    heads = given.num_attention_heads
    return Architecture(
        name=f"{wanted.name}-{wanted.size}",
        model_type=given.model_type,
        hidden_size=given.hidden_size,
        intermediate_size=given.intermediate_size,
        num_hidden_layers=given.num_hidden_layers,
        num_attention_heads=heads,
        num_key_value_heads=given.num_key_value_heads or heads,
        head_dim=given.head_dim or given.hidden_size // heads,
        vocab_size=given.vocab_size,
        max_position_embeddings=given.max_position_embeddings,
        tie_word_embeddings=given.tie_word_embeddings,
        source=wanted.source or f"ConfigMap {row.configmap}",
    )


def _key(row: Publication) -> tuple[str, ...]:
    return (row.model, row.size, row.format, row.quantization.casefold(), row.hub)
