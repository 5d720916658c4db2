"""How the kubelet reads `$` in `args` and `env`: a port of its expansion."""

from collections.abc import Mapping


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Text as the process gets it (k8s.io/kubernetes, third_party/forked/golang/expansion)."""
    result, position = "", 0
    while position < len(text):
        if text[position] != "$" or position + 1 == len(text):
            result += text[position]
            position += 1
            continue
        following = text[position + 1]
        end = text.find(")", position + 2)
        if following == "$":
            result += "$"
            position += 2
        elif following == "(" and end != -1:
            name = text[position + 2 : end]
            result += variables.get(name, f"$({name})")
            position = end + 1
        else:
            result += "$" + following
            position += 2
    return result
