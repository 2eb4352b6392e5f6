"""A language model as judge of the rungs' samples, and what hidden controls say of the judge.

Every review tests its judge: human text and noise are mixed in as if they were rungs, every pair is
asked in both orders, and a judge that fails is called unreliable in its own verdict.

    review.py         a review from runs to verdict: start here
    panel.py          who is compared, and the texts that are shown
    questions.py      what is asked, from prompts.toml; what counts as an answer
    endpoint.py       one call of an OpenAI-compatible endpoint
    budget.py         calls and money
    journal.py        every call and answer, line by line
    client.py         all calls: retries, concurrency, stopping
    answers.py        what an endpoint's answers say
    offline_judge.py  what a reference run's bits per byte say
    ratings.py        Bradley-Terry
    intervals.py      bootstrap over openings
    reliability.py    what the controls say of the judge
    verdict.py        verdict.json
"""
