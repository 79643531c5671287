#!/usr/bin/env bash
# A stream's evening: fetch, reserve, allocate, print, tell, round after round.
#
#     evening.sh [ROUNDS [PAUSE_S]]      1 round unless told otherwise, 300 seconds between two rounds
#
# Run it in the folder of shop.db and rules.yaml, with the TIKTOK_SHOP_ settings in the environment or in the file
# named by TIKTOK_ERP_SECRETS. It needs bash and jq.
#
# One bad order never stops the others: a command that ends with 3 has finished its work and put what failed into
# quarantine, so the evening goes on. Any other code concerns every order (sign-in, settings, the channel is down, the
# database is locked): the evening stops with that code. Starting it again is always safe; nothing is bought twice.
set -u

rounds=${1:-1}
pause_s=${2:-300}
bought_elsewhere=tracking-list.csv # put the numbers of own labels here (order_id,carrier,tracking_number)
to_buy=labels-to-buy.csv           # what still needs a label of your own

# Looks at the exit codes of one step; in a pipeline every part has one.
check() {
    local step=$1 code
    shift
    for code in "$@"; do
        case $code in
            0) ;;
            3) echo "$step: something failed, the rest is done" >&2 ;;
            *)
                echo "$step: exit code $code, the evening stops" >&2
                exit "$code"
                ;;
        esac
    done
}

round() {
    tiktok-erp sync --quiet
    check sync $?

    # What sells out is worth saying while the stream still runs.
    tiktok-erp reserve-stock --json |
        jq -rs 'map(select(.cause == "short")) | group_by(.sku)[] | "short: \(.[0].sku), \(length) pieces newly promised"'
    check reserve-stock "${PIPESTATUS[@]}"

    # A package that gets its carrier goes straight on to its label; one that no rule covers stays behind.
    tiktok-erp allocate --json |
        jq -c 'select(.kind == "package" and .result == "done")' |
        tiktok-erp print-labels - --yes --json |
        jq -r 'select(.kind == "summary" and .printed > 0) | "\(.printed) labels to pack: \(.batch)"'
    check "allocate, print-labels" "${PIPESTATUS[@]}"

    # Without ids: what earlier rounds had to leave, such as an order that was on hold. The rest is for other labels.
    tiktok-erp print-labels --yes --json |
        jq -r 'select(.cause == "own_label_needed") | [.package_id, .order_id, .carrier, .service_level] | @csv' >"$to_buy"
    check print-labels "${PIPESTATUS[@]}"
    if [ -s "$to_buy" ]; then
        echo "$(wc -l <"$to_buy") labels to buy elsewhere: $to_buy"
    fi

    if [ -f "$bought_elsewhere" ]; then
        tiktok-erp print-labels --from "$bought_elsewhere" --quiet
        check "print-labels --from" $?
    fi

    tiktok-erp upload-tracking --quiet
    check upload-tracking $?
}

for ((number = 1; number <= rounds; number++)); do
    round
    if ((number < rounds)); then
        sleep "$pause_s"
    fi
done

# What a person has to look at, most frequent cause first.
tiktok-erp quarantine --json |
    jq -rs 'map(select(.kind == "quarantine")) | group_by(.cause) | sort_by(-length)[]
        | "\(length) x \(.[0].cause): \(.[0].next_step)"'
check quarantine "${PIPESTATUS[@]}"
