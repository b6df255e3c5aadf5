"""Errors of traces quote long lines in part."""

import json

import pytest

from tokenroof import serving


@pytest.mark.parametrize(
    ("text", "layout", "said"),
    [
        (",".join(f"column{i}" for i in range(9000)) + "\n", "azure", "no column 'TIMESTAMP' among"),
        ("Timestamp " + "x" * 50_000 + ",b\n1,2\n", "burstgpt", "no column 'Timestamp' among"),
        (json.dumps({"timestamp": 0, "input_length": "9" * 50_000, "output_length": 2, "hash_ids": []}) + "\n",
         "mooncake", "input_length is"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "y" * 50_000 + ",3,4\n", "azure", "TIMESTAMP is"),
    ],
)  # fmt: skip
def test_what_a_line_has_is_quoted_in_part(tmp_path, text, layout, said):
    file = tmp_path / "requests.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        serving.trace(file, layout)
    assert "expected" in str(caught.value) and len(str(caught.value)) < 1000
