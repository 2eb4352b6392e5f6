"""`escada serve`: the rungs of a ladder behind an OpenAI-compatible API, and the playground page.

From the outside in:

    server      a socket, signals, uvicorn
    gate        headers, Host, token, size of a body: what is decided before anything is read
    app         the routes
    schema      what is asked and answered, as OpenAI writes it
    asking      from a request to rows of a batch
    answering   from the events of a batch to text, logprobs and usage
    completing  one request, from its rows to the last byte of its answer
    engine      one thread that decodes for everybody
    lane        a model's batch and who waits for it; `fair_queue` says whose turn it is
    served      the runs that are offered, and `ladder_view` what is told of them
"""
