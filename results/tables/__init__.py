"""Tables of published and measured results: data, rows, text formats."""
