"""A language model as judge of the rungs' samples, with hidden controls that test the judge.

Every review tests its judge: human text and noise are mixed in as if they were rungs, every pair is
asked in both orders, and a judge that fails is called unreliable in its own verdict.

        review.py         a review from runs to verdict: start here
        panel.py          the entrants and their texts
        questions.py      questions, from prompts.toml, and valid answers
        endpoint.py       one call of an OpenAI-compatible endpoint
        budget.py         limits on calls and cost
        journal.py        the record of every call and answer
        client.py         all calls: retries, concurrency, stopping
        answers.py        findings from an endpoint's answers
        offline_judge.py  findings from a reference run's bits per byte
        ratings.py        Bradley-Terry
        intervals.py      bootstrap over openings
        reliability.py    tests of the judge
        verdict.py        verdict.json
"""
