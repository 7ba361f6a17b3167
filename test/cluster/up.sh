#!/usr/bin/env bash
# Starts a cluster of one node on this machine: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, containerd,
# kubelet and kube-proxy, all real. Its only line on stdout is the path of an administrator's kubeconfig. It needs root and
# Debian. It needs no registry and no Docker. The first run compiles Kubernetes.
#
# The cluster runs in a network namespace that has no connection to other networks. Clients enter the namespace:
#   KUBECONFIG=$(test/cluster/up.sh) nsenter --net=/run/netns/awsauth-guard kubectl get nodes
# The cluster has no DNS. Pods use the address of the API server. down.sh ends the cluster. The variables STATE and NETNS
# choose another folder and another namespace.
set -euo pipefail
# shellcheck source=env.bash
. "$(dirname "${BASH_SOURCE[0]}")/env.bash"

node='node-1'
address=192.0.2.10
services=10.96.0.0/16
pods=10.244.0.0/24
pause=awsauth-guard.test/pause:1

if [ "$(id -u)" -ne 0 ]; then
	say "needs root: it makes a network namespace, mounts and cgroups"
	exit 1
fi
export PATH="/usr/sbin:/sbin:$PATH"
missing=()
for program in runc:runc nft:nftables ip:iproute2 openssl:openssl /usr/lib/cni/bridge:containernetworking-plugins; do
	command -v "${program%:*}" >/dev/null || missing+=("${program#*:}")
done
if [ "${#missing[@]}" -gt 0 ]; then
	say "installing ${missing[*]}"
	apt-get update -q >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${missing[@]}" >&2
fi

controlplane=$("$here/../../tools/controlplane.sh")
programs=$("$here/programs.sh")
export PATH="$programs:$controlplane:$PATH"
mkdir -p "$STATE"/{pki,log,pid,etcd,kubelet,pods,containerd/root,containerd/state,cni}
pki=$STATE/pki
if alive apiserver && alive kubelet; then
	say "it runs already"
	echo "$STATE/admin.kubeconfig"
	exit 0
fi
say "starting"

# The network. The peer of eth0 has no address, so the default route of eth0 leads to no host.
[ -e "/run/netns/$NETNS" ] || ip netns add "$NETNS"
ip -n "$NETNS" link set lo up
if ! ip -n "$NETNS" link show eth0 >/dev/null 2>&1; then
	ip -n "$NETNS" link add eth0 type veth peer name eth0p
	ip -n "$NETNS" link set eth0p up
	ip -n "$NETNS" link set eth0 up
fi
ip -n "$NETNS" addr replace "$address/24" dev eth0
ip -n "$NETNS" route replace default dev eth0
inside sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'

# Certificates and a kubeconfig for each program.
if [ ! -f "$pki/ca.crt" ]; then
	openssl req -x509 -newkey rsa:2048 -nodes -days 30 -keyout "$pki/ca.key" -out "$pki/ca.crt" -subj /CN=cluster 2>/dev/null
	openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null
	openssl rsa -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null
fi
certificate() { # NAME SUBJECT [NAMES]
	[ ! -f "$pki/$1.crt" ] || return 0
	openssl req -newkey rsa:2048 -nodes -keyout "$pki/$1.key" -out "$pki/$1.csr" -subj "$2" 2>/dev/null
	openssl x509 -req -in "$pki/$1.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 30 -out "$pki/$1.crt" \
		-extfile <(printf 'extendedKeyUsage=serverAuth,clientAuth\n%s\n' "${3:+subjectAltName=$3}") 2>/dev/null
}
certificate apiserver /CN=kube-apiserver \
	"DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:$address,IP:10.96.0.1"
certificate apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client
certificate admin /O=system:masters/CN=kubernetes-admin
certificate controller-manager /CN=system:kube-controller-manager
certificate scheduler /CN=system:kube-scheduler
certificate proxy /CN=system:kube-proxy
certificate kubelet "/O=system:nodes/CN=system:node:$node" "DNS:$node,IP:$address"
for name in admin controller-manager scheduler proxy kubelet; do
	cat >"$STATE/$name.kubeconfig" <<-YAML
		apiVersion: v1
		kind: Config
		clusters: [{name: test, cluster: {server: "https://$address:6443", certificate-authority: $pki/ca.crt}}]
		users: [{name: $name, user: {client-certificate: $pki/$name.crt, client-key: $pki/$name.key}}]
		contexts: [{name: $name, context: {cluster: test, user: $name}}]
		current-context: $name
	YAML
done
export KUBECONFIG=$STATE/admin.kubeconfig

start() { # NAME COMMAND...
	local name=$1
	shift
	alive "$name" && return
	# The inner shell writes its own pid, and then becomes the program. $! would be the pid of a subshell. To end the
	# subshell would leave the program running.
	nsenter --net="/run/netns/$NETNS" setsid --fork bash -c 'echo $$ >"$1" && shift && exec "$@"' start "$STATE/pid/$name" "$@" \
		>"$STATE/log/$name.log" 2>&1 </dev/null
	try 5 alive "$name" || give_up "$name" "it does not start"
}
give_up() { # NAME MESSAGE
	say "$2; the end of $STATE/log/$1.log:"
	tail -n 20 "$STATE/log/$1.log" >&2
	exit 1
}

start etcd etcd --data-dir "$STATE/etcd" --unsafe-no-fsync \
	--listen-client-urls http://127.0.0.1:12379 --advertise-client-urls http://127.0.0.1:12379 \
	--listen-peer-urls http://127.0.0.1:12380 --initial-advertise-peer-urls http://127.0.0.1:12380 \
	--initial-cluster default=http://127.0.0.1:12380
start apiserver kube-apiserver --etcd-servers=http://127.0.0.1:12379 --enable-aggregator-routing=true \
	--advertise-address="$address" --secure-port=6443 --service-cluster-ip-range="$services" \
	--authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
	--client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
	--kubelet-client-certificate="$pki/apiserver-kubelet.crt" --kubelet-client-key="$pki/apiserver-kubelet.key" \
	--kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
	--service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/sa.pub" \
	--service-account-signing-key-file="$pki/sa.key"

# The default configuration, but all files are in STATE. The pods' network namespaces are there, too, so that down.sh finds
# them. restrict_oom_score_adj is for machines without CAP_SYS_RESOURCE, such as containers.
cat >"$STATE/containerd/config.toml" <<TOML
version = 3
root = "$STATE/containerd/root"
state = "$STATE/containerd/state"
[grpc]
  address = "$socket"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "$pause"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "$STATE/cni"
TOML
# No masquerading, because the pods only connect to this machine.
cat >"$STATE/cni/10-bridge.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true,
  "hairpinMode": true, "ipam": {"type": "host-local", "dataDir": "$STATE/ipam", "ranges": [[{"subnet": "$pods"}]],
  "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
start containerd containerd --config "$STATE/containerd/config.toml"
# The container that holds the namespaces of each pod. This machine builds its image, because the cluster has no registry.
(cd "$here" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$STATE/pause" ./pause)
(cd "$here" && go run ./image -tag "$pause" -output "$STATE/pause.tar" "$STATE/pause" >/dev/null)
try 30 test -S "$socket" || give_up containerd "containerd does not answer"
"$here/load-image.sh" "$STATE/pause.tar"

try 90 inside kubectl get --raw /readyz || give_up apiserver "kube-apiserver does not answer"
start controller-manager kube-controller-manager --kubeconfig="$STATE/controller-manager.kubeconfig" \
	--authentication-kubeconfig="$STATE/controller-manager.kubeconfig" \
	--authorization-kubeconfig="$STATE/controller-manager.kubeconfig" \
	--service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
	--use-service-account-credentials --allocate-node-cidrs=false --leader-elect=false
start scheduler kube-scheduler --kubeconfig="$STATE/scheduler.kubeconfig" \
	--authentication-kubeconfig="$STATE/scheduler.kubeconfig" \
	--authorization-kubeconfig="$STATE/scheduler.kubeconfig" --leader-elect=false

# failCgroupV1 is for machines that have only version 1 of cgroups. The kubelet must not delete images, because it can't pull
# them again.
cat >"$STATE/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
authentication: {anonymous: {enabled: false}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/kubelet.crt
tlsPrivateKeyFile: $pki/kubelet.key
containerRuntimeEndpoint: unix://$socket
podCIDR: $pods
podLogsDir: $STATE/pods
resolvConf: ""
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
YAML
start kubelet kubelet --config="$STATE/kubelet.yaml" --kubeconfig="$STATE/kubelet.kubeconfig" \
	--root-dir="$STATE/kubelet" --hostname-override="$node" --node-ip="$address"
# kube-proxy must not change this machine's limits of connection tracking.
start kube-proxy kube-proxy --kubeconfig="$STATE/proxy.kubeconfig" --hostname-override="$node" \
	--proxy-mode=nftables --cluster-cidr="$pods" \
	--conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0

try 60 inside kubectl wait --for=condition=Ready "node/$node" --timeout=5s || give_up kubelet "the node is not Ready"
say "Ready"
echo "$KUBECONFIG"
