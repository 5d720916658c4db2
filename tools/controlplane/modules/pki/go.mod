module llama-operator.io/tools/pki

go 1.26.0
