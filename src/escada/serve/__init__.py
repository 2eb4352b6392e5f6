"""`escada serve`: an OpenAI-compatible API for the rungs of a ladder, and the playground page.

From the outside in:

    server      socket, signals, uvicorn
    connections how many, and how long a client may leave one waiting
    middleware  response headers, Host, token and body-size checks
    app         the FastAPI application and its `routes`
    schema      request and response models; `errors`, `limits`
    service     one request, from its body to the last byte of its response
    request     from a body to rows
    response    from the scheduler's events to text, `logprobs` and usage, whole or streamed
    scheduler   one thread that generates and scores for all clients; `metrics`
    queues      per-model queues: texts to generate, `scoring_queue`; turns in `fair_queue`
    models      the runs that are served
"""
