"""Topic patterns, matched as RabbitMQ does: words between dots, `*` is one word, `#` any number of them."""


def matches(pattern: str, routing_key: str) -> bool:
    """Return whether a message with `routing_key` goes to a queue bound with `pattern`."""
    return _match(_words(pattern), _words(routing_key))


def _words(text: str) -> list[str]:
    return text.split(".") if text else []


def _match(pattern: list[str], words: list[str]) -> bool:
    """Walk the key once per pattern word, keeping the set of positions reached: no backtracking to blow up."""
    reached = {0}
    for part in pattern:
        if part == "#":
            reached = set(range(min(reached), len(words) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(words) and part in ("*", words[at])}
        if not reached:
            return False
    return len(words) in reached
