"""`escada serve`: the rungs of a ladder behind an OpenAI-compatible API, and the playground page.

From the outside in:

    server      a socket, signals, uvicorn
    middleware  headers, Host, token, size of a body: what is decided before anything is read
    app         the application; its `routes`
    schema      requests and responses, as OpenAI writes them; `errors`, `limits`
    service     one request, from its body to the last byte of its response
    request     from a body to rows
    response    from the scheduler's events to text, `logprobs` and usage, whole or streamed
    scheduler   one thread that generates and scores for everybody; `metrics`
    queues      who waits for a model, and whose turn it is
    models      the runs that are served
"""
