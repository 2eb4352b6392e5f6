"""What several verbs share: options, completion, help, and how errors are said."""
