"""Usage as OpenAI's API for administrators reports it: `/v1/organization/usage`."""
