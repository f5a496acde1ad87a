"""Bar builders."""
