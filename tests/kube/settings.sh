# shellcheck shell=bash disable=SC2034  # names and places, used by those who source this
# What the scripts of the real-Kubernetes suite agree on.

# Built once, and kept: the Kubernetes programs and their sources.
cache=${MERINO_KUBE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/merino-kube}
readonly kubernetes_programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl kubeadm)
# The API server's address as a service.
readonly service_address=10.96.0.1
