"""Each check, with one row of the shipped tables made wrong."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.checks import file_template_error
from llama_operator.catalog.rows import Publication
from llama_operator.catalog.table_set import Tables
from llama_operator.errors import CatalogError

TABLES = Catalog.load().tables
AWQ = next(row for row in TABLES.publications if row.format == "awq")


def with_publication(row: Publication) -> Tables:
    return replace(TABLES, publications=(*TABLES.publications, row))


def with_first(table: str, **changes: object) -> Tables:
    first, *others = getattr(TABLES, table)
    return replace(TABLES, **{table: (replace(first, **changes), *others)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            lambda: replace(
                TABLES, schemes=(*TABLES.schemes, replace(TABLES.schemes[0], name="FP8"))
            ),
            "schemes.csv, column name: 'fp8' occurs 2 times",
            id="a scheme twice, in another case",
        ),
        pytest.param(
            lambda: replace(TABLES, formats=(*TABLES.formats, TABLES.formats[0])),
            "formats.csv, column name: 'pytorch' occurs 2 times",
            id="a format twice",
        ),
        pytest.param(
            lambda: with_first("architectures", num_key_value_heads=7),
            "llama-3.1-8b, column num_key_value_heads: 7 does not divide 32 heads",
            id="heads that do not share out",
        ),
        pytest.param(
            lambda: replace(TABLES, models=(*TABLES.models, TABLES.models[0])),
            "models.csv, column name and size: 'llama-3.1-instruct 8b' occurs 2 times",
            id="a model twice",
        ),
        pytest.param(
            lambda: with_first("models", architecture=None),
            "models.csv, llama-3.1-instruct 8b, column not_servable: needed without",
            id="a model without architecture or reason",
        ),
        pytest.param(
            lambda: with_first("models", not_servable="why not"),
            "models.csv, llama-3.1-instruct 8b, column not_servable:",
            id="a reason although there is an architecture",
        ),
        pytest.param(
            lambda: with_first("models", context_length=131_073),
            "models.csv, llama-3.1-instruct 8b, column context_length: above max_position",
            id="a context beyond the architecture",
        ),
        pytest.param(
            lambda: with_first("gpus", aliases=("nvidia-l4",)),
            "gpus.csv, column product and aliases: 'nvidia-l4' occurs 2 times",
            id="an alias that is a product",
        ),
        pytest.param(
            lambda: with_first("engines", default=False),
            "engines.csv, vLLM, column default: one version must be the default",
            id="no default version",
        ),
        pytest.param(
            lambda: with_first("engines", engine="TGI", version="2.2.0"),
            "engines.csv, column version: 'tgi 2.2.0' occurs 2 times",
            id="a version twice",
        ),
        pytest.param(
            lambda: replace(TABLES, hosts=()),
            "engine_hosts.csv, column engine: LlamaCpp has no row",
            id="no host needs",
        ),
        pytest.param(
            lambda: replace(TABLES, batch_defaults=TABLES.batch_defaults[:-1]),
            "engine_defaults.csv: no row for small GPUs on vLLM 0.33.0",
            id="no batch defaults for small GPUs",
        ),
        pytest.param(
            lambda: with_publication(replace(AWQ, size="9b")),
            "llama-3.1-instruct 9b awq Int4 HuggingFace, column model: models.csv has no",
            id="a publication of no model",
        ),
        pytest.param(
            lambda: with_publication(replace(AWQ, scheme="int3")),
            "llama-3.1-instruct 8b awq Int4 HuggingFace, column scheme: schemes.csv has no",
            id="a scheme that does not exist",
        ),
        pytest.param(
            lambda: with_publication(replace(AWQ, scheme="Q4_K_M")),
            "column scheme: Q4_K_M is no scheme of awq",
            id="a scheme of another format",
        ),
        pytest.param(
            lambda: with_publication(replace(AWQ, files="{quantization}")),
            "column files: awq is loaded as a whole repository",
            id="files of a whole repository",
        ),
        pytest.param(
            lambda: with_publication(replace(AWQ, recommended=False)),
            "publications.csv, llama-3.1-instruct 8b awq HuggingFace int4, column publisher_rank: "
            "not 1, 2, …: [1, 1]",
            id="two publishers of the same rank",
        ),
        pytest.param(
            lambda: with_publication(replace(AWQ, publisher_rank=2)),
            "column recommended: only publisher_rank 1 is recommended",
            id="an outranked repository is recommended",
        ),
        pytest.param(
            lambda: with_publication(replace(AWQ, quantization="Int3")),
            "publications.csv, llama-3.1-instruct 8b awq HuggingFace, column recommended: 2 rows",
            id="two recommended quantizations",
        ),
        pytest.param(
            lambda: with_publication(replace(AWQ, model="llama-guard-3", recommended=False)),
            "publications.csv, llama-guard-3 8b awq HuggingFace, column recommended: 0 rows",
            id="no recommended quantization",
        ),
        pytest.param(
            lambda: replace(
                TABLES,
                publications=tuple(
                    row for row in TABLES.publications if row.model != "llama-guard-3"
                ),
            ),
            "publications.csv, column model: no row for llama-guard-3 8b",
            id="a model published nowhere",
        ),
    ],
)
def test_a_wrong_row_is_named(make: Callable[[], Tables], message: str) -> None:
    with pytest.raises(CatalogError) as caught:
        make().check()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("format_name", "files", "parts", "wrong"),
    [
        pytest.param("awq", "", 1, None, id="a whole repository"),
        pytest.param("ggufv2", "m-{quantization}.gguf", 1, None, id="one file"),
        pytest.param(
            "ggufv2", "{quantization}/m-{part}-of-{parts}.gguf", 3, None, id="three parts"
        ),
        pytest.param("awq", "", 2, "whole repository", id="parts of a whole repository"),
        pytest.param("ggufv2", "", 1, "relative path", id="no file"),
        pytest.param("ggufv2", "m.gguf", 1, "needs {quantization}", id="the same file for all"),
        pytest.param("ggufv2", "m-{quantization}.gguf", 2, "needs {part}", id="parts unnamed"),
        pytest.param(
            "ggufv2", "{quantization}-{part}.gguf", 1, "only then", id="parts of one file"
        ),
        pytest.param("ggufv2", "/etc/{quantization}", 1, "relative path", id="an absolute path"),
        pytest.param("ggufv2", "../{quantization}", 1, "relative path", id="a path upwards"),
        pytest.param("ggufv2", "a//{quantization}", 1, "relative path", id="an empty folder"),
        pytest.param("ggufv2", "{quantization.a}", 1, "only {quant", id="an attribute"),
        pytest.param("ggufv2", "{0}{quantization}", 1, "only {quant", id="a position"),
        pytest.param("ggufv2", "{quantization}{", 1, "Single '{'", id="an open brace"),
        pytest.param("ggufv2", "{}", 1, "only {quant", id="empty braces"),
        pytest.param("ggufv2", "{quantization:9}", 1, "relative path", id="a width"),
        pytest.param("ggufv2", "{quantization!r}", 1, "relative path", id="a conversion"),
    ],
)
def test_file_templates(format_name: str, files: str, parts: int, wrong: str | None) -> None:
    found = file_template_error(format_name, files, parts)
    assert (found is None) if wrong is None else (found is not None and wrong in found)
