"""The API: LlamaDeployment, its status, its reasons and the CRD made from them."""
