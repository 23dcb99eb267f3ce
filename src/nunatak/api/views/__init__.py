"""The forms of answers, for the OpenAPI document and its tests; routes answer without another look at what they send."""
