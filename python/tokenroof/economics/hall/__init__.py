"""A hall of miners and what it may become: `case` takes the question, `values` the paths, `answer` has it."""
