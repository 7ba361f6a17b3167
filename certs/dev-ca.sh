#!/usr/bin/env bash
# Makes a CA and a serving certificate for development, valid for a week, in FOLDER:
#   certs/dev-ca.sh FOLDER [NAME...]
# The names are those that the certificate is for; the default is the chart's Service and localhost.
# ca.crt is what caBundle or the chart's certs.secret.caBundle takes; tls.crt and tls.key are for
# --cert-dir, or for `kubectl create secret tls`. The CA's key is thrown away.
set -euo pipefail

if [ "$#" -lt 1 ]; then
	echo "usage: ${0##*/} FOLDER [NAME...]" >&2
	exit 2
fi
folder=$1
shift
if [ "$#" -eq 0 ]; then
	set -- awsauth-guard.awsauth-guard.svc localhost
fi
names=$(printf 'DNS:%s,' "$@")

there=$folder # the part of the path that exists
until [ -d "$there" ]; do
	there=$(dirname -- "$there")
done
if root=$(git -C "$there" rev-parse --show-toplevel 2>/dev/null) && [ -e "$root/charts/awsauth-guard" ]; then
	echo "${0##*/}: $folder is in the repository; keys are not made there" >&2
	exit 1
fi
mkdir -p "$folder"
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

openssl ecparam -name prime256v1 -genkey -noout -out "$work/ca.key"
openssl req -x509 -new -key "$work/ca.key" -days 7 -subj '/CN=awsauth-guard development CA' \
	-addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign' -out "$work/ca.crt"
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$work/tls.key"
openssl req -new -key "$work/tls.key" -subj '/CN=awsauth-guard' -out "$work/tls.csr"
printf 'subjectAltName=%s\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n' "${names%,}" >"$work/ext"
openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 7 \
	-extfile "$work/ext" -out "$work/tls.crt" 2>/dev/null
mv -f "$work/ca.crt" "$work/tls.crt" "$work/tls.key" "$folder/"
echo "$folder: ca.crt tls.crt tls.key"
