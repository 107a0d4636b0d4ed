#!/bin/sh
# Starts the service with everything it needs: ./run_local.sh [PORT]
set -eu
cd "$(dirname "$0")"
PORT="${1:-${PORT:-5000}}" exec make run
